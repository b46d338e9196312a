"""The Event Processor: takes messages from a queue and applies them, each exactly once."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    close_old_connections,
    transaction,
)

from balances import checkpoints, ranking, segments
from balances.apply import apply
from balances.progress import ring
from events import outbox
from events.copies import identify
from events.message import Message, MessageInvalid
from events.outbox import Standing
from events.queues import BATCH, Delivery, Queue
from events.sqs import QueueUnavailable
from events.troubles import Troubles

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
PRUNE_SECONDS = 600.0
SEGMENT_SECONDS = 60.0


@dataclass
class Processor:
    """One processor; any number may run at once, on any number of machines.

    `chain_id` is asked for at each batch: a processor may start before the first block is stored (None until then).
    Messages applied more than `keep_hours` ago are deleted.
    """

    queue: Queue
    chain_id: Callable[[], str | None]
    stop: threading.Event
    wait_seconds: float = 5.0
    keep_hours: int = 24
    messages: int = field(default=0, init=False)
    transfers: int = field(default=0, init=False)
    _next_segment: float = field(default=0.0, init=False)
    _troubles: Troubles = field(
        default_factory=lambda: Troubles(logger, "Processor waits", "Processor goes on"), init=False
    )

    def run(self, *, until_applied: bool = False) -> None:
        """Apply batch after batch until `stop` is set, or, with `until_applied`, until nothing is left in the outbox.

        What is received is finished before it returns. A database or a queue that is away is waited for.
        """
        next_prune = time.monotonic()
        while not self.stop.is_set():
            try:
                if time.monotonic() >= next_prune:
                    outbox.prune(self.keep_hours)
                    next_prune = time.monotonic() + PRUNE_SECONDS
                found = self.process_batch(1.0 if until_applied else self.wait_seconds)
                done = until_applied and not found and outbox.depth().pending == 0
                ranking.catch_up(self.stop, ranking.NOW if done else ranking.BUSY if found else ranking.IDLE)
                self._troubles.over()
                if done:
                    return
            except (QueueUnavailable, OperationalError, InterfaceError, InternalError) as error:
                # The last is what PostgreSQL calls it when it has ended a transaction in which nothing was said.
                self._troubles.met(error)
                self.queue.close()
                close_old_connections()
                self.stop.wait(RETRY_SECONDS)

    def process_batch(self, wait_seconds: float) -> int:
        """Receive one batch and apply it in one database transaction; returns how many messages there were."""
        with self.queue.batch(wait_seconds) as deliveries:
            if not deliveries:
                return 0
            good = self._understand(deliveries, self.chain_id() or "")
            try:
                with transaction.atomic():
                    # Their rows in the outbox were not marked, so only a correction can have been before them.
                    transfers = apply(good.values(), new=True)
            except (DataError, IntegrityError):
                # Something is there already, or one message holds what the database refuses: it stops no other.
                good, transfers = self._apply_one_by_one(good)
            if good:
                checkpoints.notice(min(message.first_height for message in good.values()))
            outbox.mark_applied([message.id for message in good.values()])
            if len(deliveries) < BATCH:
                # Nothing waits behind these. A backfill rings no bell: transactions that do so commit one by one.
                ring()
        # Only now is it committed.
        self.messages += len(good)
        self.transfers += transfers
        if good and time.monotonic() >= self._next_segment:
            self._begin_segment(max(message.last_height for message in good.values()))
        logger.debug("Applied messages=%d transfers=%d", len(good), transfers)
        return len(deliveries)

    def _begin_segment(self, height: int) -> None:
        try:
            segments.begin_another(height)
        except segments.Busy as reason:
            logger.warning("No segment of transfers begun, tried again in %.0f s: %s", SEGMENT_SECONDS, reason)
            self._next_segment = time.monotonic() + SEGMENT_SECONDS

    def _understand(self, deliveries: Sequence[Delivery], chain_id: str) -> dict[Delivery, Message]:
        """The messages that wait to be applied; what cannot be understood or believed is set aside with the reason."""
        good = {}
        for delivery, copy in identify(deliveries, chain_id).items():
            said = copy.said
            if copy.standing is Standing.APPLIED:
                continue
            if isinstance(said, MessageInvalid):
                # A row is only set aside by its own words, not by a message that claims its number.
                self._set_aside(delivery, str(said), copy.row)
            elif copy.standing is Standing.PENDING:
                good[delivery] = said
            elif copy.standing is Standing.DIFFERENT:
                self._set_aside(delivery, f"it is not what the outbox holds as message {said.id}", copy.row)
            elif copy.standing is Standing.ABSENT:
                logger.warning("Message passed over: it is not in the outbox id=%s outbox_id=%d", delivery.id, said.id)
        return good

    def _apply_one_by_one(self, good: dict[Delivery, Message]) -> tuple[dict[Delivery, Message], int]:
        applied, transfers = {}, 0
        for delivery, message in good.items():
            try:
                with transaction.atomic():
                    transfers += apply([message])
                applied[delivery] = message
            except (DataError, IntegrityError) as error:
                self._set_aside(delivery, f"the database refuses it: {error}", message.id)
        return applied, transfers

    def _set_aside(self, delivery: Delivery, reason: str, outbox_id: int | None) -> None:
        logger.error("Message set aside id=%s outbox_id=%s reason=%s", delivery.id, outbox_id, reason)
        if outbox.set_aside(delivery.id, outbox_id, delivery.body, reason):
            self.queue.leave(delivery)
