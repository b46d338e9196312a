"""One database snapshot for several statements."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.db.backends.postgresql.psycopg_any import IsolationLevel


@contextmanager
def one_snapshot() -> Iterator[None]:
    """Nothing that commits meanwhile is seen in the block, which only reads.

    Inside a transaction that is open already, that one's snapshot is read.
    """
    if connection.in_atomic_block:
        yield
        return
    with transaction.atomic():
        # In a process that serves, connections begin their transactions so by themselves (indexer_project.databases).
        if connection.connection.isolation_level != IsolationLevel.REPEATABLE_READ:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
