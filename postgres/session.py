"""Session settings of processes that write, wait or listen: they rely on no default of the server, role or database.

Limits on statements and on silence are for the API, which sets them by its own variable. A synchronizer or a processor
under the same role may need longer, listens in silence, and leads for as long as its session lasts. What is left as it
is: `default_transaction_read_only`, which providers set when a disk is full. Who is refused then waits.
"""

from typing import Any

import psycopg
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

IDLE_IN_TRANSACTION_SECONDS = 60
"""A frozen process keeps the locks of its transaction for so long at most."""

SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_SECONDS * 1000),
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
"""In the units of `pg_settings`: milliseconds."""

_WANTED = ", ".join(f"('{name}', '{value}')" for name, value in SETTINGS.items())

# One round trip, the first of the session: without its first statement a limit might end the second. A server passes
# over what it does not know yet, and what is so already is left alone, so that a session which a pooler hands on is no
# other than it was.
_PREPARE = f"""
SET statement_timeout = 0;
SELECT set_config(name, wanted, false) FROM pg_settings
JOIN (VALUES {_WANTED}) AS given (name, wanted) USING (name) WHERE setting <> wanted
"""  # noqa: S608  # our own constants


def prepare(raw: "psycopg.Connection[Any]") -> None:
    """Give a new session of psycopg the project's settings."""
    raw.execute(_PREPARE)


async def prepare_async(raw: "psycopg.AsyncConnection[Any]") -> None:
    """The same, for an event loop."""
    await raw.execute(_PREPARE)


def prepare_django(made: BaseDatabaseWrapper) -> None:
    """The same, for a connection of Django's."""
    with made.cursor() as cursor:
        cursor.execute(_PREPARE)


def require_writable() -> None:
    """Raise Django's `OperationalError` when this thread's session cannot write: a standby, or a read-only default.

    Asked for before something is begun that ends in a write, and would be begun in vain again and again.
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
