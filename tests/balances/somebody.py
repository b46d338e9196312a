"""Somebody else, in the middle of something."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def somebody(work: Callable[[Callable[[], None]], None]) -> Iterator[None]:
    """Somebody else, on a connection of his own, is where his `work` calls what it is given; he goes on afterwards."""
    there, go_on = threading.Event(), threading.Event()

    def pause() -> None:
        there.set()
        go_on.wait(20)

    def run() -> None:
        try:
            work(pause)
        finally:
            connection.close()

    other = threading.Thread(target=run)
    other.start()
    assert there.wait(20)
    try:
        yield
    finally:
        go_on.set()
        other.join(20)
    assert not other.is_alive()
