"""Connections beside Django's own, to the same database: for waiting and for signs of life."""

from typing import Any

import psycopg
from django.db import connection

from postgres import session


def connect(**parameters: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A new autocommit connection with the settings of Django's. Raises `psycopg.Error`."""
    made = psycopg.connect(**{**_known(), **parameters}, autocommit=True)
    try:
        session.prepare(made)
    except BaseException:
        made.close()
        raise
    return made


async def connect_async() -> "psycopg.AsyncConnection[tuple[Any, ...]]":
    """The same, for an event loop."""
    made = await psycopg.AsyncConnection.connect(**_known(), autocommit=True)
    try:
        await session.prepare_async(made)
    except BaseException:
        await made.close()
        raise
    return made


def _known() -> dict[str, Any]:
    known = connection.get_connection_params()
    for django_only in ("cursor_factory", "context", "pool"):
        known.pop(django_only, None)
    return known
