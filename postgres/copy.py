"""COPY FROM STDIN on Django's connection, with Django's exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection


@contextmanager
def copy_rows(statement: str) -> Iterator[psycopg.Copy]:
    """Run a `COPY … FROM STDIN` in the current transaction; the block writes its rows.

    Django wraps what its cursors raise but not what a COPY raises; callers get `django.db` exceptions all the same.
    """
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        yield copy
