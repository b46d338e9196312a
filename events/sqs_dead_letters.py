"""The dead-letter queue of an SQS queue: looked through, for SQS gives no message by its id."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from events.queues import BATCH, Delivery
from events.sqs_client import explained
from events.sqs_messages import LABEL, as_delivery
from events.sqs_queues import DeadLetterTarget

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

HIDDEN_SECONDS = 120
"""So long a message that was looked at is not given out again: a look through the whole queue must take less."""

Take = Callable[[Delivery], bool]
"""True takes a message out of the queue for good, after whatever the callable did with it."""


class SqsDeadLetters:
    """One dead-letter queue. Every method raises `QueueUnavailable` when SQS does not answer.

    `receives`: how often a message was given out before it came here.
    """

    def __init__(self, client: "SQSClient", target: DeadLetterTarget) -> None:
        self._client = client
        self._url = target.url
        self.receives = target.receives

    def look_through(self, take: Take, most: int | None = None) -> int:
        """Show every message to `take` once; returns how many it took. Stops early when that were `most`.

        What was not taken is there for others again afterwards.
        """
        taken, kept, seen = 0, list[str](), set[str]()
        try:
            while most is None or taken < most:
                with explained(f"SQS: cannot receive from {self._url}"):
                    messages = self._client.receive_message(
                        QueueUrl=self._url,
                        MaxNumberOfMessages=BATCH,
                        WaitTimeSeconds=1,
                        VisibilityTimeout=HIDDEN_SECONDS,
                        MessageAttributeNames=[LABEL],
                    ).get("Messages", [])
                fresh = [message for message in messages if message["MessageId"] not in seen]
                if not fresh:
                    break
                for message in fresh:
                    seen.add(message["MessageId"])
                    if not take(as_delivery(message)):
                        kept.append(message["ReceiptHandle"])
                        continue
                    with explained(f"SQS: cannot take messages out of {self._url}"):
                        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
                    taken += 1
        finally:
            for start in range(0, len(kept), BATCH):
                self._show(kept[start : start + BATCH])
        return taken

    def _show(self, receipts: list[str]) -> None:
        with explained(f"SQS: cannot give back messages of {self._url}"):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                    for number, receipt in enumerate(receipts)
                ],
            )
