"""The `sqs` queue: Amazon SQS, or anything that speaks its API (AWS_ENDPOINT_URL_SQS), through boto3."""

import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from django.db import connection, transaction

from events import gate, sqs_queues
from events.queues import BATCH, Delivery
from events.sqs_client import BatchTooLong, QueueMissing, QueueUnavailable, SqsSettings, explained, open_client
from events.sqs_dead_letters import SqsDeadLetters
from events.sqs_messages import LABEL, as_delivery, as_entry
from events.sqs_queues import DeadLetterTarget
from events.sqs_visibility import kept_hidden

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, SendMessageBatchRequestEntryTypeDef

__all__ = ["QueueUnavailable", "SqsQueue", "SqsSettings"]

logger = logging.getLogger(__name__)


class SqsQueue:
    """One SQS queue, for sending and for receiving. Made without contacting anything; looked up at first use.

    Making it raises `QueueUnavailable` when what is configured cannot be right: no region, an endpoint that is no URL.
    """

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self._client = open_client(settings.region)
        self._url = settings.url
        self._dead: DeadLetterTarget | None = None
        self._asked_for_dead = False
        self._left: set[str] = set()

    def url(self) -> str:
        """The queue's URL, looked up by name once, and created when missing and allowed. Raises `QueueUnavailable`."""
        if not self._url:
            self._url = sqs_queues.find_or_create(self._client, self._settings)
        return self._url

    def dead_target(self) -> DeadLetterTarget | None:
        """Where its dead letters go, by its redrive policy; None, and one warning line, when it has none."""
        if not self._asked_for_dead:
            url = self.url()
            with self._explained("ask"):
                self._dead = sqs_queues.dead_target(self._client, url)
            self._asked_for_dead = True
            if self._dead is None:
                logger.warning("SQS queue has no redrive policy: what cannot be applied is kept in the database only")
        return self._dead

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        """See `events.queues.Queue`. Raises `QueueUnavailable` when SQS does not answer."""
        url, visibility = self.url(), self._settings.visibility_seconds
        self.dead_target()
        # Receives are counted: what is received while the database is away would end as a dead letter for nothing.
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        with self._explained("receive from"):
            answer = self._client.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=min(20, round(wait_seconds)),
                VisibilityTimeout=visibility,
                MessageAttributeNames=[LABEL],
            )
        messages = answer.get("Messages", [])
        receipts = {message["MessageId"]: message["ReceiptHandle"] for message in messages}
        self._left.clear()
        hidden = kept_hidden(self._client, url, list(receipts.values()), visibility) if messages else nullcontext()
        with hidden, transaction.atomic(durable=True):
            gate.pass_through()
            yield [as_delivery(message) for message in messages]
        if done := [receipt for message_id, receipt in receipts.items() if message_id not in self._left]:
            self._acknowledge(done)

    def leave(self, delivery: Delivery) -> None:
        """See `events.queues.Queue`: SQS gives it out again, and after `maxReceiveCount` times to the dead letters."""
        if self.dead_target() is not None:
            self._left.add(delivery.id)

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
        """Send up to `BATCH` (outbox id, body), each labelled with its id; returns the ids that the queue took.

        One request, or more where a server takes less at once than AWS does. Entries that SQS refused are logged and
        not among the ids, so that only those are sent again. Raises `QueueUnavailable` when SQS does not answer.
        """
        try:
            return self._send(messages)
        except BatchTooLong:
            if len(messages) == 1:
                raise
            middle = len(messages) // 2
            return self.send(messages[:middle]) + self.send(messages[middle:])

    def _send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        return self._post([as_entry(str(outbox_id), body, outbox_id) for outbox_id, body in messages])

    def send_back(self, message: Delivery) -> bool:
        """Send what came from this queue again, as it came; False when it was refused. Raises `QueueUnavailable`."""
        return bool(self._post([as_entry("0", message.body, message.label)]))

    def _post(self, entries: "list[SendMessageBatchRequestEntryTypeDef]") -> list[int]:
        url = self.url()
        if sqs_queues.is_fifo(url):
            # A group of its own each, for no message waits for another; and never a duplicate to SQS, which would
            # swallow what is published again.
            for entry in entries:
                entry["MessageGroupId"] = entry["Id"]
                entry["MessageDeduplicationId"] = f"{entry['Id']}-{uuid.uuid4().hex}"
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

    def dead_letters(self) -> SqsDeadLetters | None:
        """Its dead-letter queue; None when it has none. Raises `QueueUnavailable`."""
        target = self.dead_target()
        return None if target is None else SqsDeadLetters(self._client, target)

    def close(self) -> None:
        """Give back the connections; the next use opens new ones."""
        self._client.close()

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            with explained(f"SQS: cannot {doing} {self._url or self._settings.name}"):
                yield
        except QueueMissing:
            # A queue that was deleted may come back under another URL, or is made again at the next use.
            self._url, self._asked_for_dead = self._settings.url, False
            raise
