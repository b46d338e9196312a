"""The Event Processor: takes messages from a queue and applies them, each exactly once."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import Error, transaction

from balances.history import checkpoints
from balances.indexed_height import ring
from balances.ledger.apply import apply, halves
from balances.maintenance import Task, maintenance_tasks, run_due
from events.outbox import store
from events.outbox.message import Message, MessageInvalid
from events.outbox.store import Standing
from events.queues.base import BATCH, Delivery, Queue, QueueUnavailable
from events.queues.verification import identify
from postgres.connections import renew, require_writable
from postgres.errors import Reaction, blames_row, divisible, reaction
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0

LEAST_TRANSFERS = 100
"""A part of a message that is not divided any more: when so few are too many, the database has another trouble."""


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
    _maintenance: Sequence[Task] = field(init=False)
    _together: int = field(default=BATCH, init=False)
    _outage: OutageLog = field(
        default_factory=lambda: OutageLog(logger, "Processor waits", "Processor goes on"), init=False
    )

    def __post_init__(self) -> None:
        self._maintenance = maintenance_tasks(self.keep_hours)

    def run(self, *, until_applied: bool = False) -> None:
        """Apply batch after batch until `stop` is set, or, with `until_applied`, until nothing is left in the outbox.

        What is received is finished before it returns. A database or a queue that is away, or refuses, is waited for.
        """
        while not self.stop.is_set():
            try:
                require_writable()
                run_due(self._maintenance)
                found = self.process_batch(1.0 if until_applied else self.wait_seconds)
                done = until_applied and not found and store.depth().pending == 0
                self._outage.over()
                if done:
                    return
            except (QueueUnavailable, Error) as error:
                self._outage.met(error)
                self.queue.close()
                renew()
                self.stop.wait(RETRY_SECONDS)

    def process_batch(self, wait_seconds: float) -> int:
        """Receive one batch and apply it in one database transaction; returns how many messages there were."""
        with self.queue.batch(wait_seconds) as deliveries:
            if not deliveries:
                return 0
            good, transfers = self._apply(self._understand(deliveries, self.chain_id() or ""))
            if good:
                checkpoints.notice(min(message.first_height for message in good.values()))
            store.mark_applied([message.id for message in good.values()])
            if len(deliveries) < BATCH:
                # Nothing waits behind these. A backfill rings no bell: transactions that do so commit one by one.
                ring()
        # Only now is it committed.
        self.messages += len(good)
        self.transfers += transfers
        logger.debug("Applied messages=%d transfers=%d", len(good), transfers)
        return len(deliveries)

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

    def _apply(self, good: dict[Delivery, Message]) -> tuple[dict[Delivery, Message], int]:
        """Apply messages together, or ever fewer of them where the database refuses one or they exceed a limit of it.

        Returns those that were applied, and how many transfers they carry.
        """
        applied: dict[Delivery, Message] = {}
        transfers = 0
        waiting, most, new = list(good.items()), self._together, True
        while waiting:
            part = waiting[:most]
            try:
                with transaction.atomic():
                    # Their rows in the outbox were not marked, so only a correction can have been before them.
                    transfers += apply([message for _, message in part], new=new)
            except Error as error:
                if not divisible(error):
                    raise
                if len(part) > 1 or new:
                    most, new = max(1, len(part) // 2), False
                    if reaction(error) is Reaction.SMALLER:
                        self._together = most
                    continue
                alone = self._apply_alone(*part[0], error)
                if alone is None:
                    del waiting[0]
                    continue
                transfers += alone
            applied.update(part)
            del waiting[: len(part)]
        if new and self._together < BATCH:
            self._together += 1
        return applied, transfers

    def _apply_alone(self, delivery: Delivery, message: Message, error: Error) -> int | None:
        """Apply a message that failed alone with `error` in parts; None, and it is set aside, if a row is to blame."""
        try:
            if not blames_row(error):
                return _apply_in_parts(message, error)
        except Error as refused:
            if not blames_row(refused):
                raise
            error = refused
        self._set_aside(delivery, f"the database refuses it: {error}", message.id)
        return None

    def _set_aside(self, delivery: Delivery, reason: str, outbox_id: int | None) -> None:
        logger.error("Message set aside id=%s outbox_id=%s reason=%s", delivery.id, outbox_id, reason)
        if store.set_aside(delivery.id, outbox_id, delivery.body, reason):
            self.queue.leave(delivery)


def _apply_in_parts(message: Message, error: Error) -> int:
    """Apply a message whose transfers exceed a limit of the server together, in halves; all of it or nothing.

    Raises Django's `Error` when a part is refused, and `error`, that of the whole, when it has too few to be divided.
    """
    if len(message.transfers) <= LEAST_TRANSFERS:
        raise error
    transfers = 0
    with transaction.atomic():
        for half in halves(message):
            try:
                with transaction.atomic():
                    transfers += apply([half])
            except Error as trouble:
                if reaction(trouble) is not Reaction.SMALLER:
                    raise
                transfers += _apply_in_parts(half, trouble)
    return transfers
