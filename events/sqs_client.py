"""The way to SQS: where the queue is, boto3's client, and its errors in words that name the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
)

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

MISSING_CODES = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
TOO_LONG_CODES = ("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong")


class QueueUnavailable(Exception):
    """The queue cannot be used now or at all; the message names the queue and the way out."""


class QueueMissing(QueueUnavailable):
    """There is no such queue."""


class BatchTooLong(QueueUnavailable):
    """All messages of a batch together are more than this server takes at once."""


@dataclass(frozen=True)
class SqsSettings:
    """Where the queue is. `url` wins over `name`; `create` makes a missing queue; times in seconds, sizes in bytes.

    `max_receives`: how often a message is given out before it goes to the dead-letter queue, where this makes one.
    """

    url: str
    name: str
    region: str
    create: bool
    visibility_seconds: int
    max_receives: int = 5


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raise `QueueUnavailable`, with `what` could not be done and what to set, for whatever boto3 raises inside."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in MISSING_CODES:
            raise QueueMissing(f"{what}: there is no such queue") from error
        raise (BatchTooLong if code in TOO_LONG_CODES else QueueUnavailable)(f"{what}: {error}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run under a role."
        raise QueueUnavailable(f"{what}: {error}. {hint}") from error
    except BotoCoreError as error:
        raise QueueUnavailable(f"{what}: {error}") from error


def open_client(region: str) -> "SQSClient":
    """A client that has contacted nobody yet. Raises `QueueUnavailable` when what is configured cannot be right."""
    # A receive may wait 20 seconds for a message, so reads may take that long and some.
    config = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4})
    try:
        return boto3.client("sqs", region_name=region or None, config=config)
    except NoRegionError as error:
        raise QueueUnavailable("SQS has no region: set SQS_REGION, or AWS_DEFAULT_REGION, or AWS_PROFILE.") from error
    except ValueError as error:
        # botocore says so of an endpoint that is no URL.
        raise QueueUnavailable(f"SQS: {error}. See AWS_ENDPOINT_URL_SQS, SQS_REGION.") from error
    except BotoCoreError as error:
        raise QueueUnavailable(f"SQS cannot be set up: {error}") from error
