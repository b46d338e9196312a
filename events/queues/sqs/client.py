"""boto3's client for one queue: made again from a new session when its credentials are refused, and bounded in time."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import NoRegionError

from events.queues.base import QueueUnavailable
from events.queues.sqs.errors import CredentialsRejected, QueueBusy, explain

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

logger = logging.getLogger(__name__)

T = TypeVar("T")

LONG_POLL_SECONDS = 5
"""The longest that one receive waits at the server: a stop is noticed after it, within the grace period of 10 s."""

# No call outlasts the grace period, even when the server accepts the connection and never answers. Retries are `call`'s
# own, for boto3's count time-outs too: four of them took two minutes.
_CONFIG = Config(
    connect_timeout=5, read_timeout=LONG_POLL_SECONDS + 3, retries={"mode": "standard", "total_max_attempts": 1}
)

RETRY_SECONDS = 2.0
"""A call that failed sooner than this after it began is tried again by itself."""
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class SqsSettings:
    """Where the queue is. `url` wins over `name`; `create` makes a missing queue; times in seconds, sizes in bytes.

    `max_receives`: how often a message is given out before it goes to the dead-letter queue, where this makes one.
    `max_message_bytes`: the largest message to send, where the queue does not take less.
    """

    url: str
    name: str
    region: str
    create: bool
    visibility_seconds: int
    max_receives: int = 5
    max_message_bytes: int = 1_048_576


class SqsConnection:
    """The client and the session behind it; may be used by several threads.

    A session reads keys from environment, files, profiles and roles once and keeps them, so keys that were rotated are
    seen by a new session only. Making it raises `QueueUnavailable` when what is configured cannot be right: no region,
    no such profile, an endpoint that is no URL.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._lock = threading.Lock()
        self._client: SQSClient | None = _open_client(region)

    def client(self) -> "SQSClient":
        """The client in use. Raises `QueueUnavailable`."""
        with self._lock:
            if self._client is None:
                self._client = _open_client(self._region)
            return self._client

    def call(self, action: str, operation: "Callable[[SQSClient], T]") -> T:
        """What `operation` returns for the client; `action` is what it does, for errors.

        Tried again after an error that a new session or a moment may mend, where that came within `RETRY_SECONDS`.
        Raises `QueueUnavailable` for whatever goes wrong, also for what boto3 does not document.
        """
        began, renewed, attempts = time.monotonic(), False, 0
        while True:
            attempts += 1
            client = None
            try:
                client = self.client()
                return operation(client)
            except Exception as error:
                trouble = explain(action, error)
                late = time.monotonic() - began > RETRY_SECONDS
                if isinstance(trouble, CredentialsRejected):
                    self.renew(client)
                    if not renewed and not late:
                        logger.debug("SQS session made again error=%s", trouble)
                        renewed = True
                        continue
                elif isinstance(trouble, QueueBusy) and attempts < 3 and not late:
                    time.sleep(PAUSE_SECONDS * attempts)
                    continue
                raise trouble from error

    def close(self) -> None:
        """Give back the connections; the next use opens new ones, to what the endpoint's name leads to then."""
        with self._lock:
            if self._client is not None:
                self._client.close()

    def renew(self, refused: "SQSClient | None") -> None:
        """Have the next call make a new session, unless another thread has made one since `refused` was used."""
        with self._lock:
            if refused is not None and self._client is refused:
                self._client.close()
                self._client = None


def _open_client(region: str) -> "SQSClient":
    try:
        session = botocore.session.get_session()
        # Roles are assumed through clients that boto3 makes itself: without this, one of them may hang for minutes.
        session.set_default_client_config(_CONFIG)
        return boto3.Session(botocore_session=session).client("sqs", region_name=region or None)
    except NoRegionError as error:
        raise QueueUnavailable("SQS has no region: set SQS_REGION, or AWS_DEFAULT_REGION, or AWS_PROFILE.") from error
    except ValueError as error:
        # botocore says so of an endpoint that is no URL.
        raise QueueUnavailable(f"SQS: {error}. See AWS_ENDPOINT_URL_SQS, SQS_REGION.") from error
    except Exception as error:
        raise QueueUnavailable(f"SQS cannot be set up: {error}") from error
