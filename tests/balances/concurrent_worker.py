"""A second worker on its own connection, paused in the middle of its work."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


def closing_connection(work: Callable[[], None]) -> None:
    """Run `work` in a thread, then close the connection that Django opened for the thread."""
    try:
        work()
    finally:
        connection.close()


def waits(locktype: str = "%") -> bool:
    """Return whether a session waits for a lock whose type matches the LIKE pattern `locktype`."""
    with connection.cursor() as cursor:
        # Not pg_stat_activity: within a transaction it answers what it answered first.
        cursor.execute("SELECT FROM pg_locks WHERE NOT granted AND locktype LIKE %s", [locktype])
        return cursor.fetchone() is not None


@contextmanager
def paused_worker(work: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Run `work` in another thread up to where it calls its argument; let it go on when the block ends."""
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
