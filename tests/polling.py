"""Waiting for something to become true, with a deadline instead of a guess; and work that goes on meanwhile."""

import threading
import time
from collections.abc import Callable

from django.db import connection

DEADLINE_SECONDS = 20.0


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as `condition` holds; fail the test, saying `what` did not happen, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    """Start `work` in a thread with a database connection of its own, which is closed at the end."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
