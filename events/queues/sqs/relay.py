"""The relay: takes committed outbox messages to SQS, and again those that were published and not applied in time."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import Error, connection

from events.outbox import publishing, store
from events.outbox.publishing import NotDivisible
from events.outbox.store import Row
from events.queues.base import BATCH, QueueUnavailable
from events.queues.sqs.messages import MAX_BATCH_BYTES, message_bytes
from events.queues.sqs.queue import SqsQueue
from postgres.connections import renew, require_writable
from postgres.notifications import Bell
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LEASE_SECONDS = 15.0
"""How long a relay that is frozen or was killed keeps its rows from others; as long as a call to SQS may take."""
LIMIT_SECONDS = 60.0
"""The queue's own limit of a message is read again so often."""
FINISH_SECONDS = 60.0
"""A relay that finishes gives up when it has published nothing for so long: the next one publishes what is left."""


@dataclass
class Relay:
    """Publishes until told to stop, or to `finish`. Any number may run at once: each leases rows of its own.

    `republish_after` in seconds.
    """

    queue: SqsQueue
    republish_after: float
    stop: threading.Event
    _bell: Bell = field(default_factory=lambda: Bell(store.CHANNEL), init=False)
    _finish: threading.Event = field(default_factory=threading.Event, init=False)
    _published_last: float = field(default=0.0, init=False)
    _refused: set[int] = field(default_factory=set, init=False)
    _indivisible: dict[int, int] = field(default_factory=dict, init=False)
    _next_limit: float = field(default=0.0, init=False)
    _outage: OutageLog = field(default_factory=lambda: OutageLog(logger, "Relay waits", "Relay goes on"), init=False)

    def finish(self) -> None:
        """Make `run` end when the queue has got everything that it takes, or nothing for `FINISH_SECONDS`.

        `stop` still ends it at once.
        """
        self._published_last = time.monotonic()
        self._finish.set()

    def run(self) -> None:
        """Publish and wait, turn by turn, until `stop` is set; troubles are logged once and waited out.

        What the queue refused is tried once in a turn, so that it never holds up what comes after it.
        """
        while not self.stop.is_set() and not self._gives_up():
            try:
                require_writable()
                self._bell.listen()
                while self.publish_once() and not self.stop.is_set():
                    pass
                self._outage.over()
                self._refused.clear()
                if self._finish.is_set() and not publishing.unpublished(self._too_large()):
                    break
                self._bell.wait(LOOK_SECONDS)
            except (QueueUnavailable, Error) as error:
                self._outage.met(error)
                self._bell.close()
                renew()
                self.stop.wait(LOOK_SECONDS)
        self._bell.close()
        connection.close()

    def publish_once(self) -> int:
        """Offer one batch to the queue; returns how many messages it had.

        Raises `QueueUnavailable`, `DatabaseError`.
        """
        if time.monotonic() >= self._next_limit:
            self.queue.read_limit()
            self._next_limit = time.monotonic() + LIMIT_SECONDS
        held = publishing.lease(
            BATCH, MAX_BATCH_BYTES, self.republish_after, LEASE_SECONDS, self._refused | self._too_large()
        )
        if not held.rows:
            return 0
        waiting = {row.id: row for row in held.rows}
        try:
            for outbox_id in self._send(held.rows):
                del waiting[outbox_id]
            # Also what has just turned out to be too large.
            for row in [row for row in waiting.values() if not self._fits(row)]:
                self._pack_again(row)
            self._refused.update(waiting)
        finally:
            publishing.release(held, waiting)
        if len(waiting) < len(held.rows):
            self._published_last = time.monotonic()
        logger.debug("Published messages=%d of=%d", len(held.rows) - len(waiting), len(held.rows))
        return len(held.rows)

    def _send(self, rows: Sequence[Row]) -> list[int]:
        fitting = [(row.id, row.body) for row in rows if self._fits(row)]
        taken = self.queue.send(fitting) if fitting else []
        publishing.mark_published(taken)
        return taken

    def _fits(self, row: Row) -> bool:
        return message_bytes(row.body, row.id) <= self.queue.limit.bytes

    def _pack_again(self, row: Row) -> None:
        size = message_bytes(row.body, row.id)
        try:
            pieces = publishing.pack_again(row, self.queue.limit.bytes)
        except NotDivisible as reason:
            self._indivisible[row.id] = size
            logger.error(
                "Message waits until the queue takes larger ones outbox_id=%d bytes=%d %s: %s",
                row.id, size, self.queue.limit, reason,
            )  # fmt: skip
            return
        if pieces:
            logger.info(
                "Message packed again outbox_id=%d bytes=%d messages=%d %s", row.id, size, pieces, self.queue.limit
            )

    def _too_large(self) -> set[int]:
        """Rows that are larger than the queue takes now, and cannot be divided."""
        return {outbox_id for outbox_id, size in self._indivisible.items() if size > self.queue.limit.bytes}

    def _gives_up(self) -> bool:
        return self._finish.is_set() and time.monotonic() > self._published_last + FINISH_SECONDS
