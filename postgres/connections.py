"""Connections beside Django's own, to the same database: for waiting and for signs of life."""

from typing import Any

import psycopg
from django.db import OperationalError, connection

from postgres.sessions import SessionConnection, refuses_options, write_options


def connect(**parameters: Any) -> SessionConnection:
    """A new autocommit connection with the settings of Django's. Raises `psycopg.OperationalError`."""
    return SessionConnection.connect(**{**_known(), **parameters}, autocommit=True)


async def connect_async() -> "psycopg.AsyncConnection[tuple[Any, ...]]":
    """The same, for an event loop, to LISTEN on: where a pooler refuses the settings, without them."""
    known = _known()
    settings = known.pop("session_settings", None) or {}
    try:
        return await psycopg.AsyncConnection.connect(**known, options=write_options(settings), autocommit=True)
    except psycopg.OperationalError as error:
        if not refuses_options(error):
            raise
        return await psycopg.AsyncConnection.connect(**known, autocommit=True)


def require_writable() -> None:
    """Raise Django's `OperationalError` when this thread's session cannot write: a standby, or a read-only default.

    Called before something is begun that ends in a write, and would be begun in vain again and again.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('transaction_read_only')::bool")
        if cursor.fetchone()[0]:
            raise OperationalError("the database is read-only: a standby, or default_transaction_read_only is set")


def renew() -> None:
    """Close this thread's session, so that the next query opens another one.

    What a session was given when it began, such as `default_transaction_read_only` or a server that is a standby now,
    it keeps for as long as it lasts.
    """
    connection.close()


def _known() -> dict[str, Any]:
    known = connection.get_connection_params()
    for django_only in ("cursor_factory", "context", "pool"):
        known.pop(django_only, None)
    return known
