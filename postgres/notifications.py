"""Waiting for a PostgreSQL notification on a connection of its own, so that a commit elsewhere wakes a loop at once.

A server that refuses LISTEN (a hot standby) makes waiting a plain wait: who waits looks anyway afterwards.
"""

import asyncio
import logging
import time

import psycopg
from django.db import connection

from postgres.connections import connect, connect_async

logger = logging.getLogger(__name__)

_READ_ONLY = "25006"


def _listen(channel: str) -> psycopg.sql.Composed:
    return psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel))


def _refused(error: psycopg.Error, channel: str, *, before: bool) -> bool:
    """Whether a server refuses to listen that does answer otherwise; logged, but for a refusal that came `before`."""
    if error.sqlstate != _READ_ONLY:
        return False
    if not before:
        logger.warning("Notifications refused, looking at intervals channel=%s error=%s", channel, error)
    return True


class Bell:
    """LISTEN on one channel. A lost connection makes waiting a plain wait: whoever waits looks anyway afterwards."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._listener: psycopg.Connection | None = None
        self._refused = False

    def listen(self) -> None:
        """Begin to listen; what is rung from now on is not missed, but where listening is refused.

        Raises Django's `Error` when the database is away.
        """
        if self._listener is not None and not self._listener.closed and not self._refused:
            return
        with connection.wrap_database_errors:
            if self._listener is None or self._listener.closed:
                self._listener = connect()
            try:
                self._listener.execute(_listen(self._channel))
                self._refused = False
            except psycopg.Error as error:
                if not _refused(error, self._channel, before=self._refused):
                    raise
                self._refused = True

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, `seconds` at most; True when it rang."""
        assert self._listener is not None, "listen() comes first"
        if self._refused:
            time.sleep(seconds)
            return False
        try:
            return any(True for _ in self._listener.notifies(timeout=seconds, stop_after=1))
        except psycopg.Error as error:
            logger.warning("Notification connection lost channel=%s error=%s", self._channel, error)
            self.close()
            return False

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class AsyncBell:
    """`Bell` for an event loop: whoever waits can be cancelled."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._listener: psycopg.AsyncConnection | None = None
        self._refused = False

    async def listen(self) -> None:
        """See `Bell.listen`."""
        if self._listener is not None and not self._listener.closed and not self._refused:
            return
        with connection.wrap_database_errors:
            if self._listener is None or self._listener.closed:
                self._listener = await connect_async()
            try:
                await self._listener.execute(_listen(self._channel))
                self._refused = False
            except psycopg.Error as error:
                if not _refused(error, self._channel, before=self._refused):
                    raise
                self._refused = True

    async def wait(self, seconds: float) -> None:
        """Wait until the bell rings, `seconds` at most."""
        assert self._listener is not None, "listen() comes first"
        if self._refused:
            await asyncio.sleep(seconds)
            return
        try:
            async for _ in self._listener.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.Error as error:
            logger.warning("Notification connection lost channel=%s error=%s", self._channel, error)
            await self.close()

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
