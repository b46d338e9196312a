"""The `sqs` queue: Amazon SQS, or anything that speaks its API (AWS_ENDPOINT_URL_SQS), through boto3."""

import logging
from collections.abc import Iterator, Sequence
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
from django.db import transaction

from events.queues import BATCH, Delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, SendMessageBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

MISSING_CODES = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
TOO_LONG_CODES = ("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong")


class QueueUnavailable(Exception):
    """The queue cannot be used now or at all; the message names the queue and the way out."""


class _Missing(QueueUnavailable):
    """There is no such queue."""


class _TooLong(QueueUnavailable):
    """All messages of a batch together are more than this server takes at once."""


@dataclass(frozen=True)
class SqsSettings:
    """Where the queue is. `url` wins over `name`; `create` makes a missing queue; times in seconds, sizes in bytes."""

    url: str
    name: str
    region: str
    create: bool
    visibility_seconds: int


class SqsQueue:
    """One SQS queue, for sending and for receiving. Made without contacting anything; looked up at first use.

    Making it raises `QueueUnavailable` when what is configured cannot be right: no region, an endpoint that is no URL.
    """

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._client = _client(settings.region)
        self._url = settings.url

    def url(self) -> str:
        """The queue's URL, looked up by name once, and created when missing and allowed. Raises `QueueUnavailable`."""
        if not self._url:
            self._url = self._find_or_create()
        return self._url

    def _find_or_create(self) -> str:
        name = self._settings.name
        try:
            with self._explained("look up"):
                return self._client.get_queue_url(QueueName=name)["QueueUrl"]
        except _Missing:
            if not self._settings.create:
                raise QueueUnavailable(
                    f"There is no SQS queue {name!r}. Create it, set SQS_QUEUE_URL or SQS_QUEUE_NAME to the one to "
                    "use, or set SQS_CREATE_QUEUE=true."
                ) from None
        visibility = str(self._settings.visibility_seconds)
        with self._explained("create"):
            return self._client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility})["QueueUrl"]

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        """See `events.queues.Queue`. Raises `QueueUnavailable` when SQS does not answer."""
        url = self.url()
        with self._explained("receive from"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=min(20, round(wait_seconds)),
                VisibilityTimeout=self._settings.visibility_seconds,
            )
        messages = answer.get("Messages", [])
        with transaction.atomic(durable=True):
            yield [Delivery(message["MessageId"], message["Body"]) for message in messages]
        if messages:
            self._acknowledge([message["ReceiptHandle"] for message in messages])

    def _acknowledge(self, receipts: Sequence[str]) -> None:
        # The work is committed: a failed acknowledgement only means that the messages come again and change nothing.
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)
        ]
        try:
            with self._explained("acknowledge to"):
                failed = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", [])
        except QueueUnavailable as error:
            logger.warning("SQS acknowledgement failed messages=%d error=%s", len(entries), error)
            return
        if failed:
            logger.warning("SQS acknowledgement failed messages=%d code=%s", len(failed), failed[0]["Code"])

    def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        """Send up to `BATCH` (outbox id, body); returns the ids that the queue took.

        One request, or more where a server takes less at once than AWS does. Entries that SQS refused are logged and
        not among the ids, so that only those are sent again. Raises `QueueUnavailable` when SQS does not answer.
        """
        try:
            return self._send(messages)
        except _TooLong:
            if len(messages) == 1:
                raise
            middle = len(messages) // 2
            return self.send(messages[:middle]) + self.send(messages[middle:])

    def _send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(outbox_id), "MessageBody": body} for outbox_id, body in messages
        ]
        url = self.url()
        with self._explained("send to"):
            answer = self._client.send_message_batch(QueueUrl=url, Entries=entries)
        for failure in answer.get("Failed", []):
            logger.error(
                "SQS refused a message outbox_id=%s code=%s error=%s",
                failure["Id"],
                failure["Code"],
                failure.get("Message"),
            )
        return [int(entry["Id"]) for entry in answer.get("Successful", [])]

    def depth(self) -> int:
        """About how many messages are in the queue, waiting or being worked on. Raises `QueueUnavailable`."""
        url = self.url()
        with self._explained("ask"):
            attributes = self._client.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )["Attributes"]
        return sum(int(value) for value in attributes.values())

    def close(self) -> None:
        """Give back the connections; the next use opens new ones."""
        self._client.close()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        """Raise `QueueUnavailable`, with the queue's name and what to set, for whatever boto3 raises inside."""
        what = f"SQS: cannot {doing} {self._url or self._settings.name}"
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in MISSING_CODES:
                # A queue that was deleted may come back under another URL, or is made again at the next use.
                self._url = self._settings.url
                raise _Missing(f"{what}: there is no such queue") from error
            raise (_TooLong if code in TOO_LONG_CODES else QueueUnavailable)(f"{what}: {error}") from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            hint = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run under a role."
            raise QueueUnavailable(f"{what}: {error}. {hint}") from error
        except BotoCoreError as error:
            raise QueueUnavailable(f"{what}: {error}") from error


def _client(region: str) -> "SQSClient":
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
