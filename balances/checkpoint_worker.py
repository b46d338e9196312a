"""The walker: makes checkpoints behind the indexed height, beside a processor, as fast as the machine can spare."""

import logging
import threading
import time
from dataclasses import dataclass, field

from django.db import Error, connection

from balances.history import checkpoints
from events.outbox import store
from postgres.connections import renew, require_writable
from postgres.errors import Reaction, reaction
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
"""Until it looks again when nothing was left to do."""

BACKLOG = 10
"""So many messages that wait for a processor have precedence."""

BUSY_SHARE = 0.1
"""Of the time, at most, is spent on checkpoints while there is a backlog."""
IDLE_SHARE = 0.5

LEAST_BATCH = 1_000
"""Transfers in one step, at least: when so few exceed a limit of the server, it is waited for as if it were away."""


@dataclass
class Walker:
    """One walker; with any number of them, one at a time does something."""

    stop: threading.Event
    _batch: int | None = field(default=None, init=False)
    _outage: OutageLog = field(
        default_factory=lambda: OutageLog(logger, "Checkpoints wait", "Checkpoints go on"), init=False
    )

    def run(self) -> None:
        """Walk until `stop` is set. A database that is away, or refuses, is waited for."""
        try:
            while not self.stop.is_set():
                self.stop.wait(self._walk())
        finally:
            connection.close()

    def finish(self) -> None:
        """Walk to the end, in the caller's thread, or until `stop` is set."""
        while not self.stop.is_set() and self._step():
            pass

    def _walk(self) -> float:
        """One step; returns the seconds to wait after it."""
        started = time.monotonic()
        try:
            require_writable()
            more = self._step()
            share = BUSY_SHARE if more and store.depth().pending >= BACKLOG else IDLE_SHARE
            self._outage.over()
        except Error as error:
            self._outage.met(error)
            renew()
            return PAUSE_SECONDS
        return (time.monotonic() - started) * (1 / share - 1) if more else PAUSE_SECONDS

    def _step(self) -> bool:
        """A step of as many transfers as the server's limits allow, found by halving."""
        while True:
            try:
                return checkpoints.step(self._batch)
            except Error as error:
                smaller = (self._batch or checkpoints.BATCH) // 2
                if reaction(error) is not Reaction.SMALLER or smaller < LEAST_BATCH:
                    raise
                self._batch = smaller
                logger.warning("Checkpoints are made in smaller steps transfers=%d error=%s", smaller, error)
                checkpoints.unclaim()
