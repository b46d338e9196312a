"""How many requests a client may send: by its address, or by the key it shows. Off unless a rate is set.

Each server process counts for itself, in memory: shared counters would be a write for every read (the database), or one
more server to run. A client that spreads its connections over N processes gets up to N times the rate.
"""

import hashlib
import math
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from balances.api.client_address import client_address, warn_of_unknown

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module

MOST_CLIENTS = 100_000
"""So many are remembered; when more come within one period of the rate, all of them begin anew."""


class TooManyRequests(Throttled):
    """`wait`: whole seconds until one more may be answered."""

    def __init__(self, wait: float, detail: str) -> None:
        super().__init__(wait, detail)
        self.wait = math.ceil(wait)


class Limit:
    """`number` requests in `seconds`, for each client: at once or spread, and as time passes, more.

    One number is kept of a client: when all that it sent would have been sent, had it kept to the rate evenly (GCRA).
    """

    def __init__(self, number: int, seconds: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.number, self.seconds = number, seconds
        self._clock = clock
        self._spent: dict[object, float] = {}
        self._lock = threading.Lock()

    def take(self, client: object) -> float | None:
        """Count a request of `client`; None when it may be answered, else the seconds until one may."""
        with self._lock:
            now = self._clock()
            step = self.seconds / self.number
            spent = max(self._spent.get(client, now), now) + step
            if (wait := spent - now - self.seconds) > step * 1e-6:  # sums of fractions are not exact
                return wait
            if len(self._spent) >= MOST_CLIENTS and client not in self._spent:
                self._forget(now)
            self._spent[client] = spent
            return None

    def _forget(self, now: float) -> None:
        self._spent = {client: spent for client, spent in self._spent.items() if spent > now}
        if len(self._spent) > MOST_CLIENTS // 2:
            self._spent = {}


def _limit(rate: tuple[int, int] | None) -> Limit | None:
    return None if rate is None else Limit(*rate)


def _digest(key: str) -> bytes:
    # Looked up by digest, so that how long it takes tells nothing of the key.
    return hashlib.sha256(key.encode()).digest()


_COUNTED = "balances.counted"

_addresses = _limit(settings.THROTTLE_ADDRESS)
_keys = _limit(settings.THROTTLE_KEY)
_known = frozenset(map(_digest, settings.API_KEYS))


def count_request(meta: MutableMapping[str, Any]) -> None:
    """Count the request of `meta` (WSGI's environment), once. Raises `TooManyRequests` when it is one too many.

    A key that is known counts for itself, wherever it comes from; any other is as none. A client without an address is
    not limited: one limit for all that have none would let one of them shut out the others.
    """
    client: object = None
    limit, of = _addresses, "an address"
    if _known and (key := _digest(meta.get("HTTP_X_API_KEY", ""))) in _known:
        limit, client, of = _keys, key, "this key"
    if limit is None or _COUNTED in meta:
        return
    client = client or client_address(meta)
    if client is None:
        warn_of_unknown("THROTTLE_ADDRESS does not limit it")
        return
    wait = limit.take(client)
    if wait is not None:
        allowed = f"{limit.number} in {limit.seconds} seconds are allowed for {of}"
        raise TooManyRequests(wait, f"Too many requests: {allowed}.")
    meta[_COUNTED] = True  # the fast path may leave to Django what it counted; what it refused, Django refuses again


class Throttle(BaseThrottle):
    """`count_request` for Django REST framework: every route but those that say otherwise."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        count_request(request.META)
        return True
