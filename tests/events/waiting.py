"""Waiting for something to become true, with a deadline instead of a guess."""

import time
from collections.abc import Callable

DEADLINE_SECONDS = 20.0


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Return as soon as `condition` holds; fail the test, saying `what` did not happen, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)
