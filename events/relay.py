"""The relay: takes committed outbox messages to SQS, and again those that were published and not applied in time."""

import logging
import threading
import time
from dataclasses import dataclass, field

from django.db import DatabaseError, close_old_connections, connection, transaction

from events import outbox
from events.bell import Bell
from events.queues import BATCH
from events.sqs import QueueUnavailable, SqsQueue

logger = logging.getLogger(__name__)

# SQS bounds a whole batch, not only each message.
MAX_BATCH_BYTES = 1_048_576
LOOK_SECONDS = 1.0
PRUNE_SECONDS = 600.0


@dataclass
class Relay:
    """Publishes until told to stop. Any number may run at once: rows are claimed with SKIP LOCKED.

    `republish_after` in seconds; applied rows are deleted after `keep_hours`.
    """

    queue: SqsQueue
    republish_after: float
    keep_hours: int
    stop: threading.Event
    _bell: Bell = field(default_factory=lambda: Bell(outbox.CHANNEL), init=False)
    _troubled: bool = field(default=False, init=False)

    def run(self) -> None:
        """Publish and wait, turn by turn, until `stop` is set; troubles are logged once and waited out."""
        next_prune = time.monotonic()
        while not self.stop.is_set():
            try:
                self._bell.listen()
                while self.publish_once() and not self.stop.is_set():
                    pass
                if time.monotonic() >= next_prune:
                    outbox.prune(self.keep_hours)
                    next_prune = time.monotonic() + PRUNE_SECONDS
                self._say(None)
                self._bell.wait(LOOK_SECONDS)
            except (QueueUnavailable, DatabaseError) as error:
                self._say(error)
                self._bell.close()
                close_old_connections()
                self.stop.wait(LOOK_SECONDS)
        self._bell.close()
        connection.close()

    def publish_once(self) -> int:
        """Publish one batch; returns how many messages the queue took. Raises `QueueUnavailable`, `DatabaseError`."""
        # The rows stay locked while SQS takes them, so no other relay sends them too; the lock hurts nobody else.
        with transaction.atomic(durable=True):
            rows = outbox.claim_unpublished(BATCH, MAX_BATCH_BYTES, self.republish_after)
            if not rows:
                return 0
            taken = self.queue.send([(row.id, row.body) for row in rows])
            outbox.mark_published(taken)
        logger.debug("Published messages=%d of=%d", len(taken), len(rows))
        return len(taken)

    def _say(self, trouble: Exception | None) -> None:
        if trouble is not None and not self._troubled:
            logger.error("Relay waits error=%s", trouble)
        elif trouble is None and self._troubled:
            logger.info("Relay goes on")
        self._troubled = trouble is not None
