"""The relay: takes committed outbox messages to SQS, and again those that were published and not applied in time."""

import logging
import threading
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction

from events import outbox
from events.bell import Bell
from events.queues import BATCH
from events.sqs import QueueUnavailable, SqsQueue
from events.troubles import Troubles

logger = logging.getLogger(__name__)

# SQS bounds a whole batch, not only each message.
MAX_BATCH_BYTES = 1_048_576
LOOK_SECONDS = 1.0


@dataclass
class Relay:
    """Publishes until told to stop, or to `finish`. Any number may run at once: rows are claimed with SKIP LOCKED.

    `republish_after` in seconds.
    """

    queue: SqsQueue
    republish_after: float
    stop: threading.Event
    _bell: Bell = field(default_factory=lambda: Bell(outbox.CHANNEL), init=False)
    _finish: threading.Event = field(default_factory=threading.Event, init=False)
    _refused: set[int] = field(default_factory=set, init=False)
    _troubles: Troubles = field(default_factory=lambda: Troubles(logger, "Relay waits", "Relay goes on"), init=False)

    def finish(self) -> None:
        """Make `run` end as soon as the queue has got everything; `stop` still ends it at once."""
        self._finish.set()

    def run(self) -> None:
        """Publish and wait, turn by turn, until `stop` is set; troubles are logged once and waited out.

        What the queue refused is tried once in a turn, so that it never holds up what comes after it.
        """
        while not self.stop.is_set():
            try:
                self._bell.listen()
                while self.publish_once() and not self.stop.is_set():
                    pass
                self._troubles.over()
                self._refused.clear()
                if self._finish.is_set() and not outbox.unpublished():
                    break
                self._bell.wait(LOOK_SECONDS)
            except (QueueUnavailable, DatabaseError, InterfaceError) as error:
                self._troubles.met(error)
                self._bell.close()
                close_old_connections()
                self.stop.wait(LOOK_SECONDS)
        self._bell.close()
        connection.close()

    def publish_once(self) -> int:
        """Offer one batch to the queue; returns how many messages it had.

        Raises `QueueUnavailable`, `DatabaseError`.
        """
        # The rows stay locked while SQS takes them, so no other relay sends them too; the lock hurts nobody else.
        with transaction.atomic(durable=True):
            rows = outbox.claim_unpublished(BATCH, MAX_BATCH_BYTES, self.republish_after, sorted(self._refused))
            if not rows:
                return 0
            taken = self.queue.send([(row.id, row.body) for row in rows])
            outbox.mark_published(taken)
        self._refused.update({row.id for row in rows} - set(taken))
        logger.debug("Published messages=%d of=%d", len(taken), len(rows))
        return len(rows)
