"""The endpoints in order of preference: who is healthy, how far each one is, and which one to ask for a window."""

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from blocks.addresses import EndpointAddress
from blocks.answers import BlockAnswer
from blocks.plan import Span
from blocks.threads import Pool
from blocks.tx_indexer import EndpointUnavailable, Limits, TooMuch, TxIndexer, Unreadable

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
IDENTIFY_EVERY = 60.0
NEWCOMER_PATIENCE = 0.5
# Blocks behind the best endpoint from which on the next in order is preferred.
LAG = 20
# Weight of one answer in an endpoint's health, a running share of good answers from 0 to 1.
_HEALTH_WEIGHT = 0.2


def open_endpoint(address: EndpointAddress, limits: Limits) -> TxIndexer:
    """A client for `address`, with its own options before `limits`. Contacts nothing."""
    own = address.options
    return TxIndexer(
        address,
        Limits(
            timeout=own.get("timeout", limits.timeout),
            max_bytes=int(own.get("max_bytes", limits.max_bytes)),
            connections=int(own.get("connections", limits.connections)),
        ),
    )


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
    generation: int = 0
    rows_failed: bool = False
    asked_at: float = float("-inf")
    question: "Future[Look] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.indexer.url

    def usable(self) -> bool:
        return self.tip >= 0 and time.monotonic() >= self.paused_until

    def refuse(self, reason: str) -> None:
        """Leave an endpoint of another chain; downloads begun before are of an older `generation`, not to be stored."""
        self.generation += 1
        self.fail(f"refused: {reason}", rows=True)

    def fail(self, reason: str, retry_after: float | None = None, *, rows: bool = False) -> None:
        """Leave this endpoint for a while; the reason is logged once, not at every try.

        `rows`: it was rows that failed, so that only rows, and not the next answer to "how far are you", prove it well.
        """
        if reason != self.trouble:
            logger.warning("Endpoint left url=%s reason=%s", self.url, reason)
        now = time.monotonic()
        # Several downloads that fail together are one failure.
        if now >= self.paused_until:
            self.failures += 1
            self.health *= 1 - _HEALTH_WEIGHT
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 10)) * random.uniform(0.75, 1.25)  # noqa: S311  # jitter, so that many indexers do not come back in step
        self.paused_until = max(self.paused_until, now + max(pause, retry_after or 0.0))
        self.trouble = reason
        self.rows_failed = self.rows_failed or rows
        # After trouble it may serve another chain: it is asked who it is before it is believed again.
        self.identified_at, self.tip = float("-inf"), -1

    def succeed(self, *, rows: bool) -> None:
        """It gave a good answer; `rows`: with rows in it."""
        if self.rows_failed and not rows:
            return
        self.rows_failed = False
        self.health += (1 - self.health) * _HEALTH_WEIGHT
        if self.trouble:
            logger.info("Endpoint is back url=%s", self.url)
        self.failures, self.trouble = 0, ""


class Endpoints:
    """All endpoints of one deployment. Used from one thread; questions are asked in threads of their own."""

    def __init__(self, indexers: list[TxIndexer], wake: Callable[[], None]) -> None:
        self.all = [Endpoint(indexer) for indexer in indexers]
        self._wake = wake
        self._pool = Pool(len(indexers), "tip")

    @property
    def tip(self) -> int:
        """The highest tip of the usable endpoints; −1 when there is none."""
        return max((endpoint.tip for endpoint in self.all if endpoint.usable()), default=-1)

    def ask(self) -> None:
        """Ask every endpoint that is not paused how far it is; `wake` is called when an answer is there (`answers`)."""
        now = time.monotonic()
        for endpoint in self.all:
            if endpoint.question is None and now >= endpoint.paused_until:
                identify = now - endpoint.identified_at > IDENTIFY_EVERY
                endpoint.asked_at = now
                endpoint.question = self._pool.submit(_look, endpoint.indexer, endpoint.tip, identify)
                endpoint.question.add_done_callback(lambda _: self._wake())

    def answers(self) -> list[tuple[Endpoint, Look]]:
        """The answers that have come; the caller checks who they are and calls `believe` or `fail`."""
        return [(endpoint, look) for endpoint in self.all if (look := self._harvest(endpoint)) is not None]

    def settles_at(self) -> float:
        """Until when (`time.monotonic`) to wait for endpoints that were just asked for the first time, or again.

        So they can be compared from the first window on; 0 when there is nobody to wait for.
        """
        asked = [each.asked_at + NEWCOMER_PATIENCE for each in self.all if each.question is not None and each.tip < 0]
        return max(asked, default=0.0)

    def back_at(self) -> float:
        """When (`time.monotonic`) the next endpoint that is left alone is to be asked again; infinity when none is."""
        return min((e.paused_until for e in self.all if e.tip < 0 and e.question is None), default=float("inf"))

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
            endpoint.succeed(rows=False)

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
        self._pool.close()
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
        last = indexer.blocks(Span(tip, tip))
        first = [last.first] if last.first else indexer.blocks(Span(0, 0)).rows
    except (TooMuch, Unreadable) as trouble:
        raise EndpointUnavailable(indexer.url, str(trouble)) from None
    if not first and not last.rows:
        raise EndpointUnavailable(indexer.url, f"it says height {tip} and shows neither block 0, nor 1, nor {tip}")
    return Look(tip, first[:1] + last.rows[:1])
