"""Reading what one has just written: an answer that waits, for a bounded time, until its height is indexed."""

import re
import time
from collections.abc import Callable

from django.db import connection
from rest_framework.request import Request

from balances.api.long_request_slots import place
from balances.indexed_height import IndexedHeight, read_indexed_height
from balances.queries.errors import HeightNotReached

DEFAULT_SECONDS = 2
MAX_SECONDS = 10

_POLL_SECONDS = 0.1
_WAIT = re.compile(r'(?:^|[\s,;])wait\s*=\s*"?([0-9]{1,6})"?(?=$|[\s,;])', re.ASCII | re.IGNORECASE)


def wait_for(height: int, seconds: float, truth: Callable[[IndexedHeight], IndexedHeight]) -> None:
    """Return as soon as `height` is indexed, as the answer has it. Raises `HeightNotReached` when not after `seconds`.

    When as many requests as may do already wait or stream, it does not wait. No transaction is open meanwhile, and
    between two looks no pooled connection is held.
    """
    indexed = _indexed(truth)
    if indexed >= height:
        return
    with place() as free:
        end = time.monotonic() + (seconds if free else 0)
        while indexed < height and (left := end - time.monotonic()) > 0:
            time.sleep(min(_POLL_SECONDS, left))
            indexed = _indexed(truth)
    if indexed < height:
        raise HeightNotReached(height, indexed)


def patience(request: Request) -> int:
    """Seconds that this request would wait: its `Prefer: wait=…` (RFC 7240), up to `MAX_SECONDS`."""
    list_request = _WAIT.search(request.headers.get("Prefer", ""))
    return DEFAULT_SECONDS if list_request is None else min(int(list_request[1]), MAX_SECONDS)


def _indexed(truth: Callable[[IndexedHeight], IndexedHeight]) -> int:
    indexed = truth(read_indexed_height()).height
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()  # back to the pool
    return indexed
