"""The dead-letter queue of an SQS queue: looked through, for SQS gives no message by its id."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from events.queues.base import BATCH, Delivery
from events.queues.sqs.client import SqsConnection
from events.queues.sqs.messages import LABEL, as_delivery
from events.queues.sqs.provisioning import DeadLetterTarget

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HIDDEN_SECONDS = 120
"""So long a message that was looked at is not given out again: a look through the whole queue must take less."""

Take = Callable[[Delivery], bool]
"""True takes a message out of the queue for good, after whatever the callable did with it."""


class SqsDeadLetters:
    """One dead-letter queue. Every method raises `QueueUnavailable` when SQS does not answer.

    `receives`: how often a message was given out before it came here.
    """

    def __init__(self, connection: SqsConnection, target: DeadLetterTarget) -> None:
        self._connection = connection
        self._url = target.url
        self.receives = target.receives

    def look_through(self, take: Take, most: int | None = None) -> int:
        """Show every message to `take` once; returns how many it took. Stops early when that were `most`.

        What was not taken is there for others again afterwards.
        """
        taken, kept, seen = 0, list[str](), set[str]()
        try:
            while most is None or taken < most:
                messages = self._connection.call(f"SQS: cannot receive from {self._url}", self._receive)
                fresh = [message for message in messages if message["MessageId"] not in seen]
                if not fresh:
                    break
                for message in fresh:
                    seen.add(message["MessageId"])
                    if not take(as_delivery(message)):
                        kept.append(message["ReceiptHandle"])
                        continue
                    delete = partial(self._delete, receipt=message["ReceiptHandle"])
                    self._connection.call(f"SQS: cannot take messages out of {self._url}", delete)
                    taken += 1
        finally:
            for start in range(0, len(kept), BATCH):
                self._show(kept[start : start + BATCH])
        return taken

    def _receive(self, client: "SQSClient") -> "list[MessageTypeDef]":
        return client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=1,
            VisibilityTimeout=HIDDEN_SECONDS,
            MessageAttributeNames=[LABEL],
        ).get("Messages", [])

    def _delete(self, client: "SQSClient", receipt: str) -> None:
        client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt)

    def _show(self, receipts: list[str]) -> None:
        def show(client: "SQSClient") -> None:
            client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for number, receipt in enumerate(receipts)
                ],
            )

        self._connection.call(f"SQS: cannot give back messages of {self._url}", show)
