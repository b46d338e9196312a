"""The `sqs` queue: Amazon SQS, or anything that speaks its API (AWS_ENDPOINT_URL_SQS), through boto3."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.db import transaction

from events.queues import BATCH, Delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, SendMessageBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

MISSING_CODES = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")


class QueueUnavailable(Exception):
    """The queue cannot be used now or at all; the message names the queue and the way out."""


@dataclass(frozen=True)
class SqsSettings:
    """Where the queue is. `url` wins over `name`; `create` makes a missing queue; times in seconds, sizes in bytes."""

    url: str
    name: str
    region: str
    create: bool
    visibility_seconds: int


class SqsQueue:
    """One SQS queue, for sending and for receiving. Made without contacting anything; looked up at first use."""

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._client: SQSClient = boto3.client(
            "sqs",
            region_name=settings.region or None,
            # A receive may wait 20 seconds for a message, so reads may take that long and some.
            config=Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 4}),
        )
        self._url = settings.url

    def url(self) -> str:
        """The queue's URL, looked up by name once, and created when missing and allowed. Raises `QueueUnavailable`."""
        if not self._url:
            self._url = self._find_or_create()
        return self._url

    def _find_or_create(self) -> str:
        name = self._settings.name
        try:
            return self._client.get_queue_url(QueueName=name)["QueueUrl"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in MISSING_CODES:
                raise QueueUnavailable(f"SQS queue {name!r}: {error}") from error
        except BotoCoreError as error:
            raise QueueUnavailable(f"SQS queue {name!r}: {error}") from error
        if not self._settings.create:
            raise QueueUnavailable(
                f"There is no SQS queue {name!r}. Create it, set SQS_QUEUE_URL or SQS_QUEUE_NAME to the one to use, "
                "or set SQS_CREATE_QUEUE=true."
            )
        visibility = str(self._settings.visibility_seconds)
        try:
            return self._client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": visibility})["QueueUrl"]
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS queue {name!r} could not be created: {error}") from error

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        """See `events.queues.Queue`. Raises `QueueUnavailable` when SQS does not answer."""
        try:
            answer = self._client.receive_message(
                QueueUrl=self.url(),
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=min(20, round(wait_seconds)),
                VisibilityTimeout=self._settings.visibility_seconds,
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS receive from {self._url}: {error}") from error
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
            failed = self._client.delete_message_batch(QueueUrl=self.url(), Entries=entries).get("Failed", [])
        except (ClientError, BotoCoreError) as error:
            logger.warning("SQS acknowledgement failed messages=%d error=%s", len(entries), error)
            return
        if failed:
            logger.warning("SQS acknowledgement failed messages=%d code=%s", len(failed), failed[0]["Code"])

    def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        """Send up to `BATCH` (outbox id, body) in one request; returns the ids that the queue took.

        Entries that SQS refused are logged and not among them, so that only those are sent again.
        Raises `QueueUnavailable` when SQS does not answer.
        """
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(outbox_id), "MessageBody": body} for outbox_id, body in messages
        ]
        try:
            answer = self._client.send_message_batch(QueueUrl=self.url(), Entries=entries)
        except (ClientError, BotoCoreError) as error:
            raise QueueUnavailable(f"SQS send to {self._url}: {error}") from error
        for failure in answer.get("Failed", []):
            logger.error(
                "SQS refused a message outbox_id=%s code=%s error=%s",
                failure["Id"],
                failure["Code"],
                failure.get("Message"),
            )
        return [int(entry["Id"]) for entry in answer.get("Successful", [])]

    def close(self) -> None:
        self._client.close()
