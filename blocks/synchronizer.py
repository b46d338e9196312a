"""The Block Synchronizer: one loop over "what is missing below the tip", for backfill and live alike."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError

from blocks import store
from blocks.addresses import EndpointAddress
from blocks.endpoints import Endpoint, Endpoints, Look, open_endpoint
from blocks.fetch import Window, fetch_window
from blocks.leadership import Leadership
from blocks.models import Chain
from blocks.plan import Span, missing_spans, union, windows
from blocks.retries import Retries
from blocks.threads import Pool
from blocks.tx_indexer import EndpointUnavailable, Limits
from blocks.verify import WrongChain, check_chain, check_stored
from blocks.writer import Record, Writer

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.02
REPORT_SECONDS = 2.0


@dataclass(frozen=True)
class SyncSettings:
    """What to follow and within which budgets; counts are per request, times in seconds."""

    urls: Sequence[EndpointAddress]
    chain_id: str
    start_height: int
    connections: int
    window_blocks: int
    window_transactions: int
    max_answer_bytes: int
    timeout: float
    poll: float


@dataclass
class Synchronizer:
    """Follows one chain until told to stop.

    `wake` is set by whoever has news: the doorbell (`ring`), a finished download, a signal. `on_progress` is called
    after each stored window with (blocks, transactions) stored by it.
    """

    settings: SyncSettings
    record: Record
    stop: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[int, int], None] = lambda blocks, transactions: None
    tip: int = field(default=-1, init=False)
    coverage: list[tuple[int, int]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        limits = Limits(self.settings.timeout, self.settings.max_answer_bytes, self.settings.connections)
        self.endpoints = Endpoints([open_endpoint(each, limits) for each in self.settings.urls], self.wake.set)
        self._pool = Pool(self.settings.connections, "fetch")
        self._fetching: dict[Future[Window], tuple[Span, Endpoint, int]] = {}
        self._retries = Retries()
        self._chain: Chain | None = None
        self._accepted: list[tuple[int, int]] = []
        self._live_from = -1
        self._rung = False
        self._next_report = 0.0

    def run(self, *, until_tip: bool = False) -> None:
        """Follow the chain until `stop` is set, or, with `until_tip`, until nothing is missing up to the tip.

        The window in hand is finished first. A database or a source that is away is waited for.
        """
        troubled = False
        leadership = Leadership()
        try:
            while not self.stop.is_set():
                try:
                    if leadership.wait(self.stop):
                        troubled = False
                        self._follow(until_tip)
                        break
                except (OperationalError, InterfaceError) as error:
                    if not troubled:
                        logger.error("Synchronizer waits for the database error=%s", str(error).strip())
                    troubled = True
                    leadership.lose()
                    self._forget_downloads()
                    self.stop.wait(RETRY_SECONDS)
        finally:
            leadership.resign()
            self._forget_downloads()
            self._pool.close()
            self.endpoints.close()

    def ring(self) -> None:
        """There may be a new block: look now instead of at the next poll. Callable from any thread."""
        self._rung = True
        self.wake.set()

    def _follow(self, until_tip: bool) -> None:
        self._chain = Chain.objects.filter(id=1).first()
        if self._chain is not None and self._chain.start_height != self.settings.start_height:
            logger.info("Start height changed from=%d to=%d", self._chain.start_height, self.settings.start_height)
            Chain.objects.update(start_height=self.settings.start_height)
        next_look = pause = 0.0
        while not self.stop.is_set():
            self.wake.clear()
            self._store_fetched()
            if self._take_answers():
                pause = self.settings.poll
                next_look = time.monotonic() + pause
            if self._rung:
                next_look, pause, self._rung = 0.0, FIRST_LOOK_SECONDS, False
            now = time.monotonic()
            if now >= min(next_look, self.endpoints.back_at()):
                # The bell may ring before the block can be read: look again soon, then ever later, up to the poll.
                pause = min(self.settings.poll, pause * 2 or self.settings.poll)
                next_look = now + pause
                self._look()
            settles_at = self.endpoints.settles_at()
            if now >= settles_at:
                if until_tip and self.tip >= 0 and not self._fetching and not self._missing():
                    self._report()
                    return
                self._fetch_missing()
            due = [next_look, self._retries.next_due(), self.endpoints.back_at()]
            if settles_at > now:
                due.append(settles_at)
            self.wake.wait(max(0.0, min(due) - time.monotonic()))
        self._store_fetched()

    def _look(self) -> None:
        """Ask how far the endpoints are, and see what others changed in the coverage."""
        self.endpoints.ask()
        if self._chain is not None:
            # A person may have accepted a gap, or found rows missing, while we run.
            self.coverage, self._accepted = store.read_coverage()
        if time.monotonic() >= self._next_report:
            self._report()

    def _take_answers(self) -> bool:
        """Take the tips that have come, and refuse endpoints of another chain; True when the tip moved."""
        for endpoint, look in self.endpoints.answers():
            try:
                self._identify(endpoint, look)
                self.endpoints.believe(endpoint, look)
            except WrongChain as wrong:
                endpoint.refuse(str(wrong))
        tip = self.endpoints.tip
        if tip == self.tip:
            return False
        if tip >= 0:
            store.see_tip(tip)
            if self._live_from < 0:
                self._live_from = tip + 1
        self.tip = tip
        return tip >= 0

    def _identify(self, endpoint: Endpoint, look: Look) -> None:
        """Raise `WrongChain` when what an endpoint shows of itself is not the chain that is stored."""
        if not look.identity:
            return
        if self.settings.chain_id:
            check_chain(look.identity[0], self.settings.chain_id, "")
        if self._chain is None:
            self._chain = store.adopt_chain(look.identity[0], self.settings.start_height)
            logger.info("Chain adopted chain_id=%s url=%s", self._chain.chain_id, endpoint.url)
        stored = store.stored_blocks([block.height for block in look.identity])
        for block in look.identity:
            check_chain(block, self._chain.chain_id, self._chain.first_block_hash)
            if block.height in stored:
                check_stored(block, stored[block.height])

    def _report(self) -> None:
        """Leave what only this process knows where people and other processes can read it."""
        self._next_report = time.monotonic() + REPORT_SECONDS
        store.report_endpoints([(each.url, each.tip, each.trouble) for each in self.endpoints.all])
        store.report_incomplete(self._retries.stubborn())
        if self.tip >= 0:
            store.report_waiting(next((span.first for span in self._missing()), None))

    def _missing(self) -> list[Span]:
        return missing_spans(self.settings.start_height, self.tip, union(self.coverage, self._accepted))

    def _fetch_missing(self) -> None:
        """Start downloads of what is missing: first what came since we began to follow, then the rest upwards."""
        room = self.settings.connections * 2 - len(self._fetching)
        if room <= 0 or self.tip < 0:
            return
        busy = [(span.first, span.last) for span, _, _ in self._fetching.values()]
        waiting = [(height, height) for height in self._retries.waiting()]
        taken = union(self.coverage, self._accepted, busy, waiting)
        live = missing_spans(max(self._live_from, self.settings.start_height), self.tip, taken)
        rest = missing_spans(self.settings.start_height, min(self._live_from - 1, self.tip), taken)
        for span in windows([*live, *rest], self.settings.window_blocks):
            endpoint = self.endpoints.choose(span, self._retries.attempts(span))
            if endpoint is not None:
                self._fetch(span, endpoint)
                room -= 1
            if room <= 0 or endpoint is None:
                return

    def _fetch(self, span: Span, endpoint: Endpoint) -> None:
        witness = self.endpoints.witness(endpoint, span)
        future = self._pool.submit(
            fetch_window,
            endpoint.indexer,
            span,
            self.settings.window_transactions,
            witness.indexer if witness else None,
        )
        endpoint.fetching += 1
        self._fetching[future] = span, endpoint, endpoint.generation
        future.add_done_callback(lambda _: self.wake.set())

    def _store_fetched(self) -> None:
        """Store the downloads that are done."""
        for future in [future for future in self._fetching if future.done()]:
            _, endpoint, generation = self._fetching.pop(future)
            endpoint.fetching -= 1
            try:
                window = future.result()
                # What an endpoint sent before it was left may be what it was left for.
                if generation == endpoint.generation:
                    self._store(window)
                    endpoint.succeed(rows=True)
            except EndpointUnavailable as unavailable:
                endpoint.fail(str(unavailable), unavailable.retry_after, rows=True)
            except WrongChain as wrong:
                endpoint.refuse(str(wrong))

    def _forget_downloads(self) -> None:
        for future, (_, endpoint, _) in self._fetching.items():
            future.cancel()
            endpoint.fetching -= 1
        self._fetching.clear()

    def _store(self, window: Window) -> None:
        """Store a window's complete heights, and note the others for another try. Raises `WrongChain`."""
        assert self._chain is not None
        written = Writer(self._chain, self.record).write(window)
        self.coverage = written.coverage or self.coverage
        self._retries.succeed(block.height for block in window.checked.blocks if block.height not in written.refused)
        for height, reason in (window.checked.incomplete | written.refused).items():
            self._retries.fail(height, f"{reason} ({window.source})")
        if written.blocks:
            self.on_progress(written.blocks, written.transactions)
