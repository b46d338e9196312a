"""Somebody else, in the middle of something."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


def closing_connection(work: Callable[[], None]) -> None:
    """What a thread is to do, and then with its connection."""
    try:
        work()
    finally:
        connection.close()


def waits(locktype: str = "%") -> bool:
    """Somebody waits for a lock of such a type (`pg_locks`, as LIKE has it)."""
    with connection.cursor() as cursor:
        # Not pg_stat_activity: within a transaction it answers what it answered first.
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND locktype LIKE %s", [locktype])
        return cursor.fetchone() is not None


@contextmanager
def somebody(work: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Somebody else, on a connection of his own, is where his `work` calls what it is given; he goes on afterwards."""
    there, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        there.set()
        go_on.wait(20)

    other = threading.Thread(target=closing_connection, args=[lambda: work(pause)])
    other.start()
    assert there.wait(20)
    try:
        yield
    finally:
        go_on.set()
        other.join(20)
    assert not other.is_alive()
