"""Waiting for a PostgreSQL notification on a connection of its own, so that a commit elsewhere wakes a loop at once."""

import logging

import psycopg
from django.db import connection

from postgres.connections import connect, connect_async

logger = logging.getLogger(__name__)


class Bell:
    """LISTEN on one channel. A lost connection makes waiting a plain wait: whoever waits looks anyway afterwards."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._listener: psycopg.Connection | None = None

    def listen(self) -> None:
        """Begin to listen; what is rung from now on is not missed. Raises Django's `OperationalError`."""
        if self._listener is not None and not self._listener.closed:
            return
        with connection.wrap_database_errors:
            self._listener = connect()
            self._listener.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(self._channel)))

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, `seconds` at most; True when it rang."""
        assert self._listener is not None, "listen() comes first"
        try:
            return any(True for _ in self._listener.notifies(timeout=seconds, stop_after=1))
        except psycopg.OperationalError as error:
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

    async def listen(self) -> None:
        """See `Bell.listen`."""
        if self._listener is not None and not self._listener.closed:
            return
        with connection.wrap_database_errors:
            self._listener = await connect_async()
            await self._listener.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(self._channel)))

    async def wait(self, seconds: float) -> None:
        """Wait until the bell rings, `seconds` at most."""
        assert self._listener is not None, "listen() comes first"
        try:
            async for _ in self._listener.notifies(timeout=seconds, stop_after=1):
                pass
        except psycopg.OperationalError as error:
            logger.warning("Notification connection lost channel=%s error=%s", self._channel, error)
            await self.close()

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
            self._listener = None
