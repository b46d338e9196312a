"""Django's connection of this process, for a while, to another database, schema or pooler than the tests'."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from indexer_project.databases import database_at
from indexer_project.environment import Environment


def at(url: str) -> dict[str, Any]:
    """Django's settings of the database at `url`."""
    read = database_at(Environment(Path("/nowhere")), "api", "DATABASE_URL", url)
    assert read is not None
    return read


@contextmanager
def connected(url: str) -> Iterator[None]:
    """Connect this thread, and threads that begin meanwhile, to `url`."""
    before, kept = dict(connections.settings), connections[DEFAULT_DB_ALIAS]
    connections.settings[DEFAULT_DB_ALIAS] = at(url)
    connections.configure_settings(connections.settings)
    connections[DEFAULT_DB_ALIAS] = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS].close()
        connections.settings.clear()
        connections.settings.update(before)
        connections[DEFAULT_DB_ALIAS] = kept
