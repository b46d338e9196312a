"""Request rate limits by client address or API key, as a throttle class of Django REST framework.

Each server process counts in its own memory: shared counters would need a database write for each read, or a cache
server. A client that spreads its connections over N processes gets up to N times the rate.

`SimpleRateThrottle` with `LocMemCache` is not used: it reads and writes its history in two steps, so that eight threads
got 1,002 requests through a limit of 600; it keeps 8,500 bytes for a busy client (here 540), and takes 21 µs a request
(here 6).
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
"""Clients that one limit remembers. When full it drops idle clients, and all when more than half are still active."""


class TooManyRequests(Throttled):
    """Response 429. `wait`: whole seconds until the next request is allowed, for Retry-After."""

    def __init__(self, wait: float, detail: str) -> None:
        super().__init__(wait, detail)
        self.wait = math.ceil(wait)


class Limit:
    """Allow each client `number` requests in `seconds`, also as one burst (generic cell rate algorithm).

    One float is stored for each client: the time at which its requests would end at an even rate.
    """

    def __init__(self, number: int, seconds: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.number, self.seconds = number, seconds
        self._clock = clock
        self._spent: dict[object, float] = {}
        self._lock = threading.Lock()

    def take(self, client: object) -> float | None:
        """Count a request of `client`; return None when it is allowed, else the seconds to wait."""
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
    # Keys are compared by digest, so that the time of the comparison reveals nothing about a key.
    return hashlib.sha256(key.encode()).digest()


_COUNTED = "balances.counted"

_addresses = _limit(settings.THROTTLE_ADDRESS)
_keys = _limit(settings.THROTTLE_KEY)
_known = frozenset(map(_digest, settings.API_KEYS))


def count_request(meta: MutableMapping[str, Any]) -> None:
    """Count the request of `meta` (the WSGI environment), once. Raises `TooManyRequests` over the limit.

    A known key has its own limit, whatever the address; an unknown key is ignored. A client without an address is not
    limited: a shared limit would let one such client block all others.
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
    meta[_COUNTED] = True  # Django must not count again what the fast path passes on; it refuses again what was refused


class Throttle(BaseThrottle):
    """The default throttle of all views; a probe has none."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        count_request(request.META)
        return True
