"""Keeping received messages hidden from other processors for as long as they are worked on."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from events.queues.base import QueueUnavailable
from events.queues.sqs.client import SqsConnection

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
    )

logger = logging.getLogger(__name__)

PART = 0.4
"""Of the visibility, which then begins anew: two tries in a row may fail before a message is seen by others."""
END_SECONDS = 2.0
"""The longest wait at the end for an extension that is under way: leaving it is harmless, and the server may hang."""


@contextmanager
def kept_hidden(connection: SqsConnection, url: str, receipts: Sequence[str], seconds: int) -> Iterator[None]:
    """Hide the messages of `receipts` for another `seconds`, again and again, until the block ends.

    A process that dies renews nothing, so its messages are seen again when the visibility that they have ends. What
    cannot be renewed is logged: the worst that follows is that a message is worked on twice, and counted once.
    """
    over = threading.Event()

    def renew() -> None:
        while not over.wait(seconds * PART):
            _renew(connection, url, receipts, seconds)

    thread = threading.Thread(target=renew, name="visibility", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(END_SECONDS)


def _renew(connection: SqsConnection, url: str, receipts: Sequence[str], seconds: int) -> None:
    entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
        {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
        for number, receipt in enumerate(receipts)
    ]

    def extend(client: "SQSClient") -> "list[BatchResultErrorEntryTypeDef]":
        return client.change_message_visibility_batch(QueueUrl=url, Entries=entries).get("Failed", [])

    try:
        failed = connection.call(f"SQS: cannot keep messages of {url} hidden", extend)
    except QueueUnavailable as error:
        logger.warning("SQS visibility not extended messages=%d error=%s", len(entries), error)
        return
    if failed:
        logger.warning("SQS visibility not extended messages=%d code=%s", len(failed), failed[0]["Code"])
    else:
        logger.debug("SQS visibility extended messages=%d seconds=%d", len(entries), seconds)
