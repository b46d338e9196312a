"""What Django loads for `ENGINE = "postgres.backend"`."""

from types import SimpleNamespace
from typing import Any

import psycopg
from django.db import OperationalError
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base

from postgres.sessions import SessionConnection

LEAST_VERSION = 150_000


class DatabaseUnfit(OperationalError):
    """This server or database cannot hold the index; the message says why, and the way out."""


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections are `SessionConnection`s, and refuse a database that could not hold what is written."""

    # Not a module; Django looks up errors in it too, so everything else is psycopg's own.
    Database = SimpleNamespace(**vars(psycopg) | {"connect": SessionConnection.connect})  # type: ignore[assignment]

    def init_connection_state(self) -> None:
        if self.alias != NO_DB_ALIAS:
            try:
                _check_server(self.connection)
            except DatabaseUnfit:
                self.close()  # or the next statement would go to it all the same
                raise
        super().init_connection_state()

    def create_cursor(self, name: str | None = None) -> Any:
        if name is not None:
            self.connection.begin()
        return super().create_cursor(name)

    def chunked_cursor(self) -> Any:
        # One that outlives its transaction would be looked for in another session, behind a pooler.
        if self.connection is not None and self.connection.per_transaction and not self.in_atomic_block:
            return self.cursor()
        return super().chunked_cursor()


def _check_server(connection: "psycopg.Connection[Any]") -> None:
    """Raise `DatabaseUnfit` by what the server said of itself when it was connected to."""
    version = connection.info.server_version
    if version < LEAST_VERSION:
        raise DatabaseUnfit(
            f"The server is PostgreSQL {version // 10_000}.{version % 10_000}, and {LEAST_VERSION // 10_000} or newer "
            "is needed: upgrade it, or name another one in DATABASE_URL."
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseUnfit(
            f"The database {connection.info.dbname} is encoded in {encoding}, which cannot hold every character: make "
            "one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL."
        )
