"""Outage log: one line when something begins to be away and one when it is back, however often it is tried."""

import logging
import time
from dataclasses import dataclass, field

import psycopg
from django import db

from postgres.errors import Reaction, reaction

REMIND_SECONDS = 60.0
"""An outage that lasts is logged again after so long with its latest error, then ever more rarely."""


@dataclass
class OutageLog:
    """The outages of one loop that tries again: its logger, and the words for waiting and for going on."""

    logger: logging.Logger
    waits: str
    goes_on: str
    _since: float | None = field(default=None, init=False)
    _remind_at: float = field(default=0.0, init=False)
    _worked: bool = field(default=False, init=False)

    def met(self, error: Exception) -> None:
        """A try has failed, and the caller waits; raises `error` again where no waiting helps (`postgres.errors`)."""
        if isinstance(error, (db.Error, psycopg.Error)):
            kind = reaction(error)
            if kind is Reaction.GIVE_UP or (kind is Reaction.MIGRATE and not self._worked):
                raise error
        now = time.monotonic()
        if self._since is None:
            self._since, self._remind_at = now, now + REMIND_SECONDS
            self.logger.error("%s error=%s", self.waits, str(error).strip())
        elif now >= self._remind_at:
            self._remind_at = now + (now - self._since)
            self.logger.error("%s still seconds=%.0f error=%s", self.waits, now - self._since, str(error).strip())

    def over(self) -> None:
        """A try has succeeded."""
        self._worked = True
        if self._since is not None:
            self.logger.info(self.goes_on)
        self._since = None
