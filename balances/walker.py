"""The walker: makes checkpoints behind the indexed height, beside a processor, as fast as the machine can spare."""

import logging
import threading
import time
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, close_old_connections, connection

from balances import checkpoints
from events import outbox
from events.troubles import Troubles

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Until it looks again when nothing was left to do."""

BACKLOG = 10
"""So many messages that wait for a processor have precedence."""

BUSY_SHARE = 0.1
"""Of the time, at most, is spent on checkpoints while there is a backlog."""
IDLE_SHARE = 0.5


@dataclass
class Walker:
    """One walker; with any number of them, one at a time does something."""

    stop: threading.Event
    _troubles: Troubles = field(
        default_factory=lambda: Troubles(logger, "Checkpoints wait", "Checkpoints go on"), init=False
    )

    def run(self) -> None:
        """Walk until `stop` is set. A database that is away is waited for."""
        try:
            while not self.stop.is_set():
                self.stop.wait(self._walk())
        finally:
            connection.close()

    def finish(self) -> None:
        """Walk to the end, in the caller's thread, or until `stop` is set."""
        while not self.stop.is_set() and checkpoints.step():
            pass

    def _walk(self) -> float:
        """One step; returns the seconds to wait after it."""
        started = time.monotonic()
        try:
            more = checkpoints.step()
            share = BUSY_SHARE if more and outbox.depth().pending >= BACKLOG else IDLE_SHARE
            self._troubles.over()
        except (OperationalError, InterfaceError) as error:
            self._troubles.met(error)
            close_old_connections()
            return PAUSE_SECONDS
        return (time.monotonic() - started) * (1 / share - 1) if more else PAUSE_SECONDS
