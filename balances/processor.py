"""The Event Processor: takes messages from a queue and applies them, each exactly once."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, transaction

from balances.apply import apply
from events import outbox
from events.message import Message, MessageInvalid, decode
from events.queues import Delivery, Queue
from events.sqs import QueueUnavailable

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


@dataclass
class Processor:
    """One processor; any number may run at once, on any number of machines.

    `chain_id` is asked for at each batch: a processor may start before the first block is stored (None until then).
    """

    queue: Queue
    chain_id: Callable[[], str | None]
    stop: threading.Event
    wait_seconds: float = 5.0
    messages: int = field(default=0, init=False)
    transfers: int = field(default=0, init=False)
    _troubled: bool = field(default=False, init=False)

    def run(self, *, until_applied: bool = False) -> None:
        """Apply batch after batch until `stop` is set, or, with `until_applied`, until nothing is left in the outbox.

        What is received is finished before it returns. A database or a queue that is away is waited for.
        """
        while not self.stop.is_set():
            try:
                found = self.process_batch(1.0 if until_applied else self.wait_seconds)
                self._say(None)
                if until_applied and not found and outbox.depth().pending == 0:
                    return
            except (QueueUnavailable, OperationalError, InterfaceError) as error:
                self._say(error)
                self.queue.close()
                close_old_connections()
                self.stop.wait(RETRY_SECONDS)

    def process_batch(self, wait_seconds: float) -> int:
        """Receive one batch and apply it in one database transaction; returns how many messages there were."""
        with self.queue.batch(wait_seconds) as deliveries:
            chain_id = self.chain_id()
            if not deliveries:
                return 0
            good = self._understand(deliveries, chain_id or "")
            try:
                with transaction.atomic():
                    self.transfers += apply([message for _, message in good])
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:
                # One message holds something the database refuses: find it, so that it stops no other.
                good = self._apply_one_by_one(good)
            outbox.mark_applied([message.id for _, message in good])
            self.messages += len(good)
        logger.debug("Applied messages=%d", len(good))
        return len(deliveries)

    def _understand(self, deliveries: Sequence[Delivery], chain_id: str) -> list[tuple[Delivery, Message]]:
        good = []
        for delivery in deliveries:
            try:
                good.append((delivery, decode(delivery.body, chain_id)))
            except MessageInvalid as invalid:
                self._set_aside(delivery, str(invalid), invalid.outbox_id)
        return good

    def _apply_one_by_one(self, good: list[tuple[Delivery, Message]]) -> list[tuple[Delivery, Message]]:
        applied = []
        for delivery, message in good:
            try:
                with transaction.atomic():
                    self.transfers += apply([message])
                applied.append((delivery, message))
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError as error:
                self._set_aside(delivery, f"the database refuses it: {error}", message.id)
        return applied

    def _set_aside(self, delivery: Delivery, reason: str, outbox_id: int | None) -> None:
        logger.error("Message set aside id=%s outbox_id=%s reason=%s", delivery.id, outbox_id, reason)
        outbox.set_aside(delivery.id, outbox_id or delivery.outbox_id, delivery.body, reason)

    def _say(self, trouble: Exception | None) -> None:
        if trouble is not None and not self._troubled:
            logger.error("Processor waits error=%s", str(trouble).strip())
        elif trouble is None and self._troubled:
            logger.info("Processor goes on")
        self._troubled = trouble is not None
