"""The `sqs` queue: Amazon SQS, or anything that speaks its API (AWS_ENDPOINT_URL_SQS), through boto3."""

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from django.db import connection, transaction

from events import ledger_lock
from events.outbox.message_limit import MessageLimit, is_too_large
from events.queues.base import BATCH, Delivery, QueueUnavailable
from events.queues.sqs import provisioning
from events.queues.sqs.client import LONG_POLL_SECONDS, SqsConnection, SqsSettings
from events.queues.sqs.dead_letter_queue import SqsDeadLetters
from events.queues.sqs.errors import CredentialsRejected, QueueMissing, RequestRefused, is_credentials, short_code
from events.queues.sqs.messages import LABEL, MAX_BATCH_BYTES, as_delivery, as_entry, bytes_of, grouped
from events.queues.sqs.provisioning import DeadLetterTarget
from events.queues.sqs.visibility import kept_hidden

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        DeleteMessageBatchRequestEntryTypeDef,
        SendMessageBatchRequestEntryTypeDef,
        SendMessageBatchResultTypeDef,
    )

__all__ = ["SqsQueue", "SqsSettings"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class SqsQueue:
    """One SQS queue, for sending and for receiving. Made without contacting anything; looked up at first use.

    Making it raises `QueueUnavailable` when what is configured cannot be right: no region, an endpoint that is no URL.
    `limit`: the largest message to write for it.
    """

    def __init__(self, settings: SqsSettings) -> None:
        self._settings = settings
        self.connection = SqsConnection(settings.region)
        self.limit = MessageLimit(settings.max_message_bytes)
        self._url = settings.url
        self._dead: DeadLetterTarget | None = None
        self._asked_for_dead = False
        self._left: set[str] = set()
        self._batch_bytes = MAX_BATCH_BYTES
        self._refusals: dict[str, str] = {}

    def url(self) -> str:
        """The queue's URL, looked up by name once, and created when missing and allowed. Raises `QueueUnavailable`."""
        if not self._url:
            self._url = provisioning.find_or_create(self.connection, self._settings)
        return self._url

    def dead_target(self) -> DeadLetterTarget | None:
        """Where its dead letters go, by its redrive policy; None, and one warning line, when it has none."""
        if not self._asked_for_dead:
            url = self.url()
            with self._lookups_forgotten_on_error():
                self._dead = provisioning.dead_target(self.connection, url)
            self._asked_for_dead = True
            if self._dead is None:
                logger.warning("SQS queue has no redrive policy: what cannot be applied is kept in the database only")
        return self._dead

    def read_limit(self) -> None:
        """Read from the queue how large a message may be, and take that for `limit`. Raises `QueueUnavailable`.

        Without the right to read attributes, the configured size holds until a message is refused.
        """
        url = self.url()
        try:
            with self._lookups_forgotten_on_error():
                text = provisioning.attributes_of(self.connection, url, "MaximumMessageSize").get("MaximumMessageSize")
        except CredentialsRejected as error:
            logger.debug("SQS queue limit not read error=%s", error)
            return
        bytes_taken = int(text) if text and text.isdecimal() else None
        if self.limit.read(bytes_taken):
            self._batch_bytes = MAX_BATCH_BYTES
            if bytes_taken is not None and bytes_taken < self.limit.configured:
                logger.warning("SQS queue takes less than is configured, the smaller counts %s", self.limit)

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        """See `events.queues.base.Queue`. Raises `QueueUnavailable` when SQS does not answer.

        Waits `LONG_POLL_SECONDS` at most, so that a stop is noticed.
        """
        url, visibility = self.url(), self._settings.visibility_seconds
        self.dead_target()
        # Receives are counted: what is received while the database is away would end as a dead letter for nothing.
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        wait = min(LONG_POLL_SECONDS, round(wait_seconds))
        received = self._call("receive from", partial(self._receive, url, wait))
        self._left.clear()
        hidden = kept_hidden(self.connection, url, list(received.values()), visibility) if received else nullcontext()
        with hidden, transaction.atomic(durable=True):
            ledger_lock.pass_through()
            yield list(received)
        if done := [receipt for delivery, receipt in received.items() if delivery.id not in self._left]:
            self._acknowledge(url, done)

    def _receive(self, url: str, wait_seconds: int, client: "SQSClient") -> dict[Delivery, str]:
        """Deliveries with their receipts."""
        messages = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self._settings.visibility_seconds,
            MessageAttributeNames=[LABEL],
        ).get("Messages", [])
        return {as_delivery(message): message["ReceiptHandle"] for message in messages}

    def leave(self, delivery: Delivery) -> None:
        """See `events.queues.base.Queue`: SQS delivers it again, after `maxReceiveCount` times to the dead letters."""
        # Looked up when the batch began: here a transaction is open.
        if self._dead is not None:
            self._left.add(delivery.id)

    def _acknowledge(self, url: str, receipts: Sequence[str]) -> None:
        # The work is committed: a failed acknowledgement only means that the messages come again and change nothing.
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)
        ]
        try:
            answer = self._call("acknowledge to", lambda c: c.delete_message_batch(QueueUrl=url, Entries=entries))
        except QueueUnavailable as error:
            logger.warning("SQS acknowledgement failed messages=%d error=%s", len(entries), error)
            return
        if failed := answer.get("Failed", []):
            logger.warning("SQS acknowledgement failed messages=%d code=%s", len(failed), failed[0]["Code"])

    def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        """Send up to `BATCH` (outbox id, body), each labelled with its id; returns the ids that the queue took.

        One request, or more where a server takes less at once than AWS does. What SQS refused is logged and not among
        the ids, so that only that is sent again. Raises `QueueUnavailable` when SQS does not answer and took nothing.
        """
        return self._send([as_entry(str(outbox_id), body, outbox_id) for outbox_id, body in messages])

    def send_back(self, message: Delivery) -> bool:
        """Send what came from this queue again, as it came; False when it was refused. Raises `QueueUnavailable`."""
        return bool(self._send([as_entry("0", message.body, message.label)]))

    def _send(self, entries: "list[SendMessageBatchRequestEntryTypeDef]") -> list[int]:
        taken: list[int] = []
        waiting = list(grouped(entries, self._batch_bytes))
        while waiting:
            batch = waiting.pop(0)
            try:
                answer = self._post(batch)
            except RequestRefused as error:
                if len(batch) == 1:
                    self._note_refusal(batch[0], error.code, error.reason)
                    continue
                # All together are too much, or one of them is refused: then it must not hold up the others.
                if is_too_large(error.code, error.reason):
                    self._batch_bytes = max(sum(map(bytes_of, batch)) // 2, *map(bytes_of, batch))
                waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
            except QueueUnavailable:
                if not taken:
                    raise
                break
            else:
                for entry in answer.get("Successful", []):
                    self._refusals.pop(entry["Id"], None)
                    taken.append(int(entry["Id"]))
                by_id = {entry["Id"]: entry for entry in batch}
                for failure in answer.get("Failed", []):
                    self._note_refusal(by_id[failure["Id"]], failure["Code"], failure.get("Message", ""))
        return taken

    def _post(self, entries: "list[SendMessageBatchRequestEntryTypeDef]") -> "SendMessageBatchResultTypeDef":
        url = self.url()
        if provisioning.is_fifo(url):
            # A group of its own each, for no message waits for another; and never a duplicate to SQS, which would
            # swallow what is published again.
            for entry in entries:
                entry["MessageGroupId"] = entry["Id"]
                entry["MessageDeduplicationId"] = f"{entry['Id']}-{uuid.uuid4().hex}"

        def post(client: "SQSClient") -> "SendMessageBatchResultTypeDef":
            answer = client.send_message_batch(QueueUrl=url, Entries=entries)
            if any(is_credentials(short_code(failure["Code"])) for failure in answer.get("Failed", [])):
                self.connection.renew(client)
            return answer

        return self._call("send to", post)

    def _note_refusal(self, entry: "SendMessageBatchRequestEntryTypeDef", code: str, reason: str) -> None:
        """Log why SQS refused a message, once for each reason, and learn from it how much the queue takes."""
        code, size = short_code(code), bytes_of(entry)
        if is_too_large(code, reason) and size <= self.limit.bytes:
            try:
                self.read_limit()
            except QueueUnavailable as error:
                logger.debug("SQS queue limit not read error=%s", error)
            self.limit.learn(code, reason, size)
        if self._refusals.get(entry["Id"]) != code:
            self._refusals[entry["Id"]] = code
            logger.error(
                "SQS refused a message outbox_id=%s bytes=%d code=%s error=%s %s",
                entry["Id"], size, code, reason, self.limit,
            )  # fmt: skip

    def depth(self) -> int:
        """About how many messages are in the queue, waiting or being worked on. Raises `QueueUnavailable`."""
        url = self.url()
        with self._lookups_forgotten_on_error():
            numbers = provisioning.attributes_of(
                self.connection, url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
            )
        return sum(int(number) for number in numbers.values())

    def dead_letters(self) -> SqsDeadLetters | None:
        """Its dead-letter queue; None when it has none. Raises `QueueUnavailable`."""
        target = self.dead_target()
        return None if target is None else SqsDeadLetters(self.connection, target)

    def close(self) -> None:
        """Give back the connections; the next use opens new ones."""
        self.connection.close()

    def _call(self, action: str, operation: "Callable[[SQSClient], T]") -> T:
        with self._lookups_forgotten_on_error():
            return self.connection.call(f"SQS: cannot {action} {self._url or self._settings.name}", operation)

    @contextmanager
    def _lookups_forgotten_on_error(self) -> Iterator[None]:
        try:
            yield
        except (QueueMissing, CredentialsRejected):
            # A queue that was deleted may come back under another URL, or is made again at the next use; and other
            # credentials may be those of another account.
            self._url, self._asked_for_dead = self._settings.url, False
            raise
