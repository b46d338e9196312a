"""The endpoints in order of preference: who is healthy, how far each one is, and which one to ask for a window."""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from blocks.answers import BlockAnswer
from blocks.plan import Span
from blocks.tx_indexer import EndpointUnavailable, TooMuch, TxIndexer

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 60.0
IDENTIFY_EVERY = 60.0


@dataclass
class Endpoint:
    """One endpoint and what is known of it. `tip` is −1 until it has answered; pauses double with each failure."""

    indexer: TxIndexer
    tip: int = -1
    identity: BlockAnswer | None = None
    identified_at: float = float("-inf")
    failures: int = 0
    paused_until: float = 0.0
    trouble: str = ""
    question: "Future[tuple[int, BlockAnswer | None]] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return self.indexer.url

    def usable(self) -> bool:
        return self.identity is not None and time.monotonic() >= self.paused_until

    def fail(self, reason: str, retry_after: float | None = None) -> None:
        """Leave this endpoint for a while; the reason is logged once, not at every try."""
        if reason != self.trouble:
            logger.warning("Endpoint left url=%s reason=%s", self.url, reason)
        now = time.monotonic()
        # Several downloads that fail together are one failure.
        if now >= self.paused_until:
            self.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures - 1, 10))
        self.paused_until = now + max(pause, retry_after or 0.0)
        self.trouble = reason
        # After trouble it may serve another chain: it is asked who it is before it is believed again.
        self.identity, self.tip = None, -1

    def recover(self) -> None:
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

    def refresh(self, patience: float) -> list[Endpoint]:
        """Ask every endpoint that is not paused how far it is; returns those that answered with a block to identify it.

        Waits up to `patience` seconds for the first answer; late answers are taken at the next call. The caller checks
        the identity and calls `fail` on strangers.
        """
        now = time.monotonic()
        for endpoint in self.all:
            if endpoint.question is None and now >= endpoint.paused_until:
                identify = endpoint.identity is None or now - endpoint.identified_at > IDENTIFY_EVERY
                endpoint.question = self._pool.submit(_look, endpoint.indexer, endpoint.tip, identify)
        asked = [endpoint.question for endpoint in self.all if endpoint.question is not None]
        wait(asked, timeout=patience, return_when="FIRST_COMPLETED")
        return [endpoint for endpoint in self.all if self._harvest(endpoint)]

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for endpoint in self.all:
            endpoint.indexer.close()

    def _harvest(self, endpoint: Endpoint) -> bool:
        if endpoint.question is None or not endpoint.question.done():
            return False
        question, endpoint.question = endpoint.question, None
        try:
            tip, identity = question.result()
        except EndpointUnavailable as unavailable:
            endpoint.fail(str(unavailable), unavailable.retry_after)
            return False
        endpoint.tip = tip
        if identity is not None:
            endpoint.identity, endpoint.identified_at = identity, time.monotonic()
        return identity is not None

    def choose(self, span: Span, attempt: int) -> Endpoint | None:
        """The endpoint to ask for `span`: the first that has it, and at each further attempt the next one."""
        having = [endpoint for endpoint in self.all if endpoint.usable() and endpoint.tip >= span.last]
        return having[attempt % len(having)] if having else None


def _look(indexer: TxIndexer, known_tip: int, identify: bool) -> tuple[int, BlockAnswer | None]:
    """The endpoint's tip, and, when asked for or when the tip went down, the block that identifies its chain."""
    tip = indexer.tip()
    if tip < 0:
        raise EndpointUnavailable(indexer.url, "it has no blocks yet")
    if not identify and tip >= known_tip:
        return tip, None
    try:
        # Block 1 tells chains of one name apart; genesis has no hash, but where there is nothing else it has the name.
        blocks = indexer.blocks(Span(1, 1)) or indexer.blocks(Span(0, 0)) or indexer.blocks(Span(tip, tip))
    except TooMuch as much:
        raise EndpointUnavailable(indexer.url, str(much)) from None
    if not blocks:
        raise EndpointUnavailable(indexer.url, f"it says height {tip} and shows neither block 0, nor 1, nor {tip}")
    return tip, blocks[0]
