"""Connections beside Django's own, to the same database: for waiting and for signs of life."""

from typing import Any

import psycopg
from django.db import connection

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


def _known() -> dict[str, Any]:
    known = connection.get_connection_params()
    for django_only in ("cursor_factory", "context", "pool"):
        known.pop(django_only, None)
    return known
