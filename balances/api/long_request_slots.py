"""Requests that keep a thread of the server for long, by waiting or by streaming: a few at a time, so others go on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings


@cache
def _places() -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(settings.LONG_REQUESTS)


@contextmanager
def place() -> Iterator[bool]:
    """Whether one of this process's places was free; if so, it is held for the block."""
    places = _places()
    free = places.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            places.release()
