"""Connections beside Django's own, to the same database: for waiting and for signs of life."""

from typing import Any

import psycopg
from django.db import connection


def connect(**parameters: Any) -> "psycopg.Connection[tuple[Any, ...]]":
    """A new autocommit connection with the settings of Django's. Raises `psycopg.OperationalError`."""
    known = connection.get_connection_params()
    for django_only in ("cursor_factory", "context", "pool"):
        known.pop(django_only, None)
    return psycopg.connect(**{**known, **parameters}, autocommit=True)
