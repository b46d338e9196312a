"""The endpoints in order of preference: who is healthy, how far each one is, and which one to ask for a window."""

import logging
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime

from blocks.links import ChainBreak
from blocks.source.client import EndpointUnavailable, Limits, TooMuch, TxIndexer, Unreadable
from blocks.source.endpoint_url import EndpointAddress
from blocks.source.payloads import BlockAnswer
from blocks.spans import Span
from blocks.thread_pool import Pool

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
IDENTIFY_EVERY = 60.0
NEWCOMER_PATIENCE = 0.5
# Blocks behind the best endpoint from which on the next in order is preferred.
LAG = 20
# A tip that rises by no more than this is proven by the heights in the same answer.
NEAR = 100
BREAK_WAY_OUT = '; see docs/operations.md, "The chain was reset"'
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
class Probe:
    """What an endpoint answered about itself.

    `tip`: the highest height of which it showed a block; `claimed`: the highest that it says it has. `identity`: its
    first block and the one at its tip, where it was to identify its chain.
    """

    tip: int
    claimed: int
    identity: list[BlockAnswer] = field(default_factory=list)


@dataclass
class Endpoint:
    """One endpoint and what is known of it; pauses double with each failure.

    `tip`: the last one that it showed, −1 until it has answered; `current`: it has not failed since. `chain_break`: two
    blocks of it that do not link, so that nothing from the upper one on is taken from it. `waits_for_others`: its
    answer is there, and not used before others have answered too.
    """

    indexer: TxIndexer
    tip: int = -1
    current: bool = False
    answered_at: datetime | None = None
    identified_at: float = float("-inf")
    failures: int = 0
    health: float = 1.0
    paused_until: float = 0.0
    trouble: str = ""
    fetching: int = 0
    generation: int = 0
    rows_failed: bool = False
    refused: bool = False
    asked_at: float = float("-inf")
    chain_break: ChainBreak | None = None
    break_seen: int = 0
    break_due: float = 0.0
    behind: bool = False
    claimed: int = -1
    waits_for_others: bool = False
    question: "Future[Probe] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.indexer.url

    def usable(self) -> bool:
        return self.current and time.monotonic() >= self.paused_until

    @property
    def reach(self) -> int:
        """The highest height that may be taken from it."""
        return self.tip if self.chain_break is None else min(self.tip, self.chain_break.height - 1)

    def refuse(self, reason: str) -> None:
        """Leave an endpoint of another chain; downloads begun before are of an older `generation`, not to be stored."""
        self.generation += 1
        self.fail(f"refused: {reason}", rows=True)
        self.refused = True

    def limit(self, chain_break: ChainBreak) -> None:
        """Take nothing from the break on; it is looked at again after a pause that doubles each time."""
        if self.chain_break is not None and self.chain_break.height < chain_break.height:
            return
        if self.chain_break is None or self.chain_break.height != chain_break.height:
            logger.error(
                "Endpoint serves two chains, nothing is taken from height=%d on url=%s reason=%s%s",
                chain_break.height,
                self.url,
                chain_break.reason,
                BREAK_WAY_OUT,
            )
            self.break_seen = 0
        self.generation += 1
        self.chain_break = chain_break
        self.break_seen += 1
        self.break_due = time.monotonic() + min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.break_seen - 1, 10))
        self.trouble = f"{chain_break.reason}{BREAK_WAY_OUT}"

    def lift(self) -> None:
        """The blocks at the break link now."""
        if self.chain_break is not None:
            logger.info("Endpoint serves one chain again url=%s height=%d", self.url, self.chain_break.height)
            self.chain_break, self.break_seen, self.trouble = None, 0, ""

    def fail(self, reason: str, retry_after: float | None = None, *, rows: bool = False) -> None:
        """Leave this endpoint for a while; the reason is logged once, not at every try.

        `rows`: it was rows that failed, so that only rows, and not the next answer about its tip, prove it well.
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
        # After a failure it may serve another chain: it is identified before it is used again.
        self.identified_at, self.current = float("-inf"), False

    def succeed(self, *, rows: bool) -> None:
        """It gave a good answer; `rows`: with rows in it."""
        if self.rows_failed and not rows:
            return
        self.rows_failed = False
        self.health += (1 - self.health) * _HEALTH_WEIGHT
        if self.chain_break is not None:
            self.trouble = f"{self.chain_break.reason}{BREAK_WAY_OUT}"
        elif self.trouble:
            logger.info("Endpoint is back url=%s", self.url)
            self.trouble = ""
        self.failures, self.refused = 0, False

    def show_stored_chain(self) -> None:
        """Its block at the tip is the stored one, so it serves the stored chain, whatever it was refused for."""
        if self.refused:
            self.refused = self.rows_failed = False


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

    @property
    def reach(self) -> int:
        """The highest height that may be taken from a usable endpoint; −1 when there is none."""
        return max((endpoint.reach for endpoint in self.all if endpoint.usable()), default=-1)

    def break_due(self) -> float:
        """When (`time.monotonic`) the next break is to be looked at again; infinity when there is none."""
        return min((each.break_due for each in self.all if each.chain_break and each.usable()), default=float("inf"))

    def identifying(self) -> bool:
        """Whether an endpoint that never answered is still being asked."""
        return any(each.question is not None and each.tip < 0 for each in self.all)

    def ask(self) -> None:
        """Ask every endpoint that is not paused how far it is; `wake` is called when an answer is there (`answers`)."""
        now = time.monotonic()
        for endpoint in self.all:
            if endpoint.question is None and now >= endpoint.paused_until and not endpoint.waits_for_others:
                identify = now - endpoint.identified_at > IDENTIFY_EVERY
                endpoint.asked_at = now
                endpoint.question = self._pool.submit(probe, endpoint.indexer, endpoint.tip, identify)
                endpoint.question.add_done_callback(lambda _: self._wake())

    def answers(self) -> list[tuple[Endpoint, Probe]]:
        """The answers that have come; the caller checks their identity and calls `accept_tip` or `Endpoint.refuse`."""
        return [(endpoint, answer) for endpoint in self.all if (answer := self._harvest(endpoint)) is not None]

    def settles_at(self) -> float:
        """Until when (`time.monotonic`) to wait for endpoints that were just asked for the first time, or again.

        So they can be compared from the first window on; 0 when there is nobody to wait for.
        """
        asked = [
            each.asked_at + NEWCOMER_PATIENCE for each in self.all if each.question is not None and not each.current
        ]
        return max(asked, default=0.0)

    def back_at(self) -> float:
        """When (`time.monotonic`) the next endpoint that is left alone is to be asked again; infinity when none is."""
        left_alone = (e for e in self.all if not e.current and e.question is None and not e.waits_for_others)
        return min((e.paused_until for e in left_alone), default=float("inf"))

    def _harvest(self, endpoint: Endpoint) -> Probe | None:
        if endpoint.question is None or not endpoint.question.done():
            return None
        question, endpoint.question = endpoint.question, None
        try:
            return question.result()
        except EndpointUnavailable as unavailable:
            endpoint.fail(str(unavailable), unavailable.retry_after)
            return None

    def accept_tip(self, endpoint: Endpoint, answer: Probe, stored: int) -> None:
        """Take an endpoint's tip, for it serves the chain that it should. `stored`: the highest stored height."""
        if answer.claimed > answer.tip + LAG and answer.claimed != endpoint.claimed:
            logger.warning(
                "Endpoint claims blocks that it does not show url=%s claimed=%d shown=%d",
                endpoint.url,
                answer.claimed,
                answer.tip,
            )
        endpoint.tip, endpoint.claimed, endpoint.current = answer.tip, answer.claimed, True
        endpoint.answered_at = datetime.now(UTC)
        if answer.identity:
            endpoint.identified_at = time.monotonic()
            endpoint.succeed(rows=False)
        behind = stored - answer.tip > (0 if endpoint.behind else LAG)
        if behind != endpoint.behind:
            state = "is behind what is stored" if behind else "is level again"
            logger.warning("Endpoint %s url=%s tip=%d stored=%d", state, endpoint.url, answer.tip, stored)
        endpoint.behind = behind

    def choose(self, span: Span, attempt: int) -> Endpoint | None:
        """The endpoint to ask for `span`: the best that has it, and at each further attempt the next one.

        The best is the first in order that mostly answers well and is not far behind. None when nobody has it, or those
        who have it are busy.
        """
        best = self.tip
        having = [endpoint for endpoint in self.all if endpoint.usable() and endpoint.reach >= span.last]
        having.sort(key=lambda endpoint: (endpoint.health < 0.5, endpoint.tip < best - LAG))
        turned = having[attempt % len(having) :] + having[: attempt % len(having)] if having else []
        return next((endpoint for endpoint in turned if endpoint.fetching < endpoint.indexer.connections), None)

    def witness(self, endpoint: Endpoint, span: Span) -> Endpoint | None:
        """Another endpoint that has `span` and can say whether it knows the same blocks; None when there is none."""
        others = (other for other in self.all if other is not endpoint and other.usable() and other.reach >= span.last)
        return next(others, None)

    def close(self) -> None:
        self._pool.close()
        for endpoint in self.all:
            endpoint.indexer.close()


def probe(indexer: TxIndexer, known_tip: int, identify: bool) -> Probe:
    """The tip of an endpoint, as far as it shows blocks, and what identifies its chain (`identify`, or the tip fell).

    Raises `EndpointUnavailable`.
    """
    if known_tip >= 0 and not identify:
        try:
            claimed, heights = indexer.tip_and_heights(Span(known_tip + 1, known_tip + NEAR))
        except TooMuch:
            claimed, heights = indexer.tip(), []
        if known_tip <= claimed <= known_tip + NEAR:
            return Probe(max([known_tip, *(height for height in heights if height <= claimed)]), claimed)
    else:
        claimed = indexer.tip()
    if claimed < 0:
        raise EndpointUnavailable(indexer.url, "it has no blocks yet")
    try:
        tip, last = claimed, indexer.blocks(Span(claimed, claimed))
        if not last.rows:
            tip = _highest_shown(indexer, known_tip, claimed)
            last = indexer.blocks(Span(tip, tip))
        # Block 1 tells chains of one name apart, where there is one; the last tells a reset chain from a slow server.
        first = [last.first] if last.first else indexer.blocks(Span(0, 0)).rows
    except (TooMuch, Unreadable) as trouble:
        raise EndpointUnavailable(indexer.url, str(trouble)) from None
    return Probe(tip, claimed, first[:1] + last.rows[:1])


def _highest_shown(indexer: TxIndexer, known_tip: int, claimed: int) -> int:
    """The highest height up to `claimed` of which the endpoint has a block."""
    for first in sorted({max(0, min(known_tip, claimed)), 0}, reverse=True):
        if heights := indexer.heights(Span(first, claimed), descending=True).rows:
            return heights[0]
    raise EndpointUnavailable(indexer.url, f"it claims height {claimed} and shows no block up to there")
