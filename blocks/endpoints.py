"""The endpoints in order of preference: who is healthy, how far each one is, and which one to ask for a window."""

import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urldefrag

from blocks.answers import BlockAnswer
from blocks.plan import Span
from blocks.tx_indexer import EndpointUnavailable, Limits, TooMuch, TxIndexer

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
IDENTIFY_EVERY = 60.0
NEWCOMER_PATIENCE = 0.5
# Blocks behind the best endpoint from which on the next in order is preferred.
LAG = 20
# Weight of one answer in an endpoint's health, a running share of good answers from 0 to 1.
_HEALTH_WEIGHT = 0.2


class EndpointOptionInvalid(ValueError):
    """An option behind `#` of an endpoint's address that is not known or has no sensible value; the text names it."""


def open_endpoint(address: str, limits: Limits) -> TxIndexer:
    """A client for `address`, an URL with options of its own behind `#`: `connections=2&timeout=10&max_bytes=1000000`.

    Contacts nothing. Raises `EndpointOptionInvalid`.
    """
    url, options = urldefrag(address)
    values = {"connections": limits.connections, "timeout": limits.timeout, "max_bytes": limits.max_bytes}
    for name, value in parse_qsl(options, keep_blank_values=True):
        if name not in values:
            raise EndpointOptionInvalid(f"{address}: option {name!r} is none of {', '.join(values)}")
        try:
            values[name] = float(value) if name == "timeout" else int(value)
        except ValueError:
            values[name] = 0
        if values[name] <= 0:
            raise EndpointOptionInvalid(f"{address}: option {name}={value!r} is not a number above 0")
    return TxIndexer(url, Limits(float(values["timeout"]), int(values["max_bytes"]), int(values["connections"])))


@dataclass(frozen=True)
class Look:
    """What an endpoint says of itself: its tip, and, when it was asked who it is, its first block and its last."""

    tip: int
    identity: list[BlockAnswer] = field(default_factory=list)


@dataclass
class Endpoint:
    """One endpoint and what is known of it. `tip` is −1 until it has answered; pauses double with each failure."""

    indexer: TxIndexer
    tip: int = -1
    identified_at: float = float("-inf")
    failures: int = 0
    health: float = 1.0
    paused_until: float = 0.0
    trouble: str = ""
    fetching: int = 0
    question: "Future[Look] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.indexer.url

    def usable(self) -> bool:
        return self.tip >= 0 and time.monotonic() >= self.paused_until

    def fail(self, reason: str, retry_after: float | None = None) -> None:
        """Leave this endpoint for a while; the reason is logged once, not at every try."""
        if reason != self.trouble:
            logger.warning("Endpoint left url=%s reason=%s", self.url, reason)
        now = time.monotonic()
        # Several downloads that fail together are one failure.
        if now >= self.paused_until:
            self.failures += 1
            self.health *= 1 - _HEALTH_WEIGHT
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311  # jitter, so that many indexers do not come back in step
        self.paused_until = now + max(pause, retry_after or 0.0)
        self.trouble = reason
        # After trouble it may serve another chain: it is asked who it is before it is believed again.
        self.identified_at, self.tip = float("-inf"), -1

    def succeed(self) -> None:
        """It gave a good answer."""
        self.health += (1 - self.health) * _HEALTH_WEIGHT
        if self.trouble:
            logger.info("Endpoint is back url=%s", self.url)
        self.failures, self.trouble = 0, ""


class Endpoints:
    """All endpoints of one deployment. Used from one thread; questions are asked in threads of their own."""

    def __init__(self, indexers: list[TxIndexer]) -> None:
        self.all = [Endpoint(indexer) for indexer in indexers]
        self._pool = ThreadPoolExecutor(len(indexers), "tip")

    @property
    def tip(self) -> int:
        """The highest tip of the usable endpoints; −1 when there is none."""
        return max((endpoint.tip for endpoint in self.all if endpoint.usable()), default=-1)

    def refresh(self, patience: float) -> list[tuple[Endpoint, Look]]:
        """Ask every endpoint that is not paused how far it is; returns the answers that have come.

        Waits up to `patience` seconds for the first answer, and a little for endpoints that were not there before, so
        that they can be compared from the first window on; late ones are taken at the next call. The caller checks who
        they are and calls `believe` or `fail`.
        """
        now = time.monotonic()
        newcomers = []
        for endpoint in self.all:
            if endpoint.question is None and now >= endpoint.paused_until:
                identify = now - endpoint.identified_at > IDENTIFY_EVERY
                endpoint.question = self._pool.submit(_look, endpoint.indexer, endpoint.tip, identify)
                if endpoint.tip < 0:
                    newcomers.append(endpoint.question)
        asked = [endpoint.question for endpoint in self.all if endpoint.question is not None]
        wait(asked, timeout=patience, return_when="FIRST_COMPLETED")
        wait(newcomers, timeout=min(patience, NEWCOMER_PATIENCE))
        return [(endpoint, look) for endpoint in self.all if (look := self._harvest(endpoint)) is not None]

    def _harvest(self, endpoint: Endpoint) -> Look | None:
        if endpoint.question is None or not endpoint.question.done():
            return None
        question, endpoint.question = endpoint.question, None
        try:
            return question.result()
        except EndpointUnavailable as unavailable:
            endpoint.fail(str(unavailable), unavailable.retry_after)
            return None

    def believe(self, endpoint: Endpoint, look: Look) -> None:
        """Take an endpoint's tip for true, for it serves the chain that it should."""
        endpoint.tip = look.tip
        if look.identity:
            endpoint.identified_at = time.monotonic()
            endpoint.succeed()

    def choose(self, span: Span, attempt: int) -> Endpoint | None:
        """The endpoint to ask for `span`: the best that has it, and at each further attempt the next one.

        The best is the first in order that mostly answers well and is not far behind. None when nobody has it, or those
        who have it are busy.
        """
        best = self.tip
        having = [endpoint for endpoint in self.all if endpoint.usable() and endpoint.tip >= span.last]
        having.sort(key=lambda endpoint: (endpoint.health < 0.5, endpoint.tip < best - LAG))
        turned = having[attempt % len(having) :] + having[: attempt % len(having)] if having else []
        return next((endpoint for endpoint in turned if endpoint.fetching < endpoint.indexer.connections), None)

    def witness(self, endpoint: Endpoint, span: Span) -> Endpoint | None:
        """Another endpoint that has `span` and can say whether it knows the same blocks; None when there is none."""
        others = (other for other in self.all if other is not endpoint and other.usable() and other.tip >= span.last)
        return next(others, None)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for endpoint in self.all:
            endpoint.indexer.close()


def _look(indexer: TxIndexer, known_tip: int, identify: bool) -> Look:
    """The endpoint's tip, and, when asked for or when the tip went down, the blocks that identify its chain."""
    tip = indexer.tip()
    if tip < 0:
        raise EndpointUnavailable(indexer.url, "it has no blocks yet")
    if not identify and tip >= known_tip:
        return Look(tip)
    try:
        # Block 1 tells chains of one name apart, where there is one; the last tells a reset chain from a slow server.
        first = indexer.blocks(Span(1, 1)) or indexer.blocks(Span(0, 0))
        last = indexer.blocks(Span(tip, tip))
    except TooMuch as much:
        raise EndpointUnavailable(indexer.url, str(much)) from None
    if not first and not last:
        raise EndpointUnavailable(indexer.url, f"it says height {tip} and shows neither block 0, nor 1, nor {tip}")
    return Look(tip, first[:1] + last[:1])
