"""The Block Synchronizer: one loop over "what is missing below the tip", for backfill and live alike."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import DataError, IntegrityError, InterfaceError, OperationalError, connection, transaction

from blocks import store
from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.endpoints import Endpoint, Endpoints
from blocks.fetch import Window, fetch_window
from blocks.leadership import try_to_lead
from blocks.models import Chain
from blocks.plan import Span, missing_spans, windows
from blocks.retries import Retries
from blocks.tx_indexer import EndpointUnavailable, Limits, TxIndexer
from blocks.verify import WrongChain, check_chain, wrong_link

logger = logging.getLogger(__name__)

STANDBY_SECONDS = 0.5
RETRY_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.02

Record = Callable[[str, Sequence[TransactionAnswer]], None]
"""Told, inside the storing database transaction, the chain id and the transactions of complete heights, in order."""


@dataclass(frozen=True)
class SyncSettings:
    """What to follow and within which budgets; counts are per request, times in seconds."""

    urls: Sequence[str]
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
        limits = Limits(self.settings.timeout, self.settings.max_answer_bytes, self.settings.connections + 1)
        self._pool = ThreadPoolExecutor(self.settings.connections, "fetch")
        self._endpoints = Endpoints([TxIndexer(url, limits) for url in self.settings.urls])
        self._fetching: dict[Future[Window], tuple[Span, Endpoint]] = {}
        self._retries = Retries()
        self._chain: Chain | None = None
        self._live_from = -1
        self._rung = False

    def run(self, *, until_tip: bool = False) -> None:
        """Follow the chain until `stop` is set, or, with `until_tip`, until nothing is missing up to the tip.

        The window in hand is finished first. A database or a source that is away is waited for.
        """
        troubled = False
        while not self.stop.is_set():
            try:
                if self._lead():
                    troubled = False
                    self._follow(until_tip)
                    break
            except (OperationalError, InterfaceError) as error:
                if not troubled:
                    logger.error("Synchronizer waits for the database error=%s", str(error).strip())
                troubled = True
                connection.close()
                self.stop.wait(RETRY_SECONDS)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._endpoints.close()

    def ring(self) -> None:
        """There may be a new block: look now instead of at the next poll. Callable from any thread."""
        self._rung = True
        self.wake.set()

    def _lead(self) -> bool:
        """Wait to be the one synchronizer that writes; False when told to stop first."""
        waiting = False
        while not self.stop.is_set():
            if try_to_lead():
                logger.info("Synchronizer leads")
                return True
            if not waiting:
                logger.info("Synchronizer stands by: another one writes")
            waiting = True
            self.stop.wait(STANDBY_SECONDS)
        return False

    def _follow(self, until_tip: bool) -> None:
        self._chain = Chain.objects.filter(id=1).first()
        if self._chain is not None and self._chain.start_height != self.settings.start_height:
            logger.info("Start height changed from=%d to=%d", self._chain.start_height, self.settings.start_height)
            Chain.objects.update(start_height=self.settings.start_height)
        self.coverage = self._chain.coverage if self._chain else []
        next_look = pause = 0.0
        while not self.stop.is_set():
            self.wake.clear()
            self._store_fetched()
            if self._rung:
                next_look, pause, self._rung = 0.0, FIRST_LOOK_SECONDS, False
            if time.monotonic() >= next_look:
                known = self.tip
                self._look()
                # The bell may ring before the block can be read: look again soon, then ever later, up to the poll.
                pause = self.settings.poll if self.tip != known else min(self.settings.poll, pause * 2)
                next_look = time.monotonic() + pause
            if until_tip and self.tip >= 0 and not self._fetching and not self._missing():
                return
            self._fetch_missing()
            self.wake.wait(max(0.0, min(next_look, self._retries.next_due()) - time.monotonic()))
        self._store_fetched(finish=True)

    def _look(self) -> None:
        """Read the tips, and refuse endpoints of another chain."""
        for endpoint in self._endpoints.refresh(self.settings.timeout):
            assert endpoint.identity is not None
            try:
                if self._chain is None:
                    if self.settings.chain_id:
                        check_chain(endpoint.identity, self.settings.chain_id, "")
                    self._chain = store.adopt_chain(endpoint.identity, self.settings.start_height)
                    logger.info("Chain adopted chain_id=%s url=%s", self._chain.chain_id, endpoint.url)
                check_chain(endpoint.identity, self._chain.chain_id, self._chain.first_block_hash)
                endpoint.recover()
            except WrongChain as wrong:
                endpoint.fail(f"refused: {wrong}")
        tip = self._endpoints.tip
        if tip >= 0 and tip != self.tip:
            store.see_tip(tip)
        if self._live_from < 0 <= tip:
            self._live_from = tip + 1
        self.tip = max(tip, -1)

    def _missing(self) -> list[Span]:
        return missing_spans(self.settings.start_height, self.tip, self.coverage)

    def _fetch_missing(self) -> None:
        """Start downloads of what is missing: first what came since we began to follow, then the rest upwards."""
        room = self.settings.connections * 2 - len(self._fetching)
        if room <= 0 or self.tip < 0:
            return
        busy = sorted((span.first, span.last) for span, _ in self._fetching.values())
        waiting = self._retries.waiting()
        taken = _union(self.coverage, busy, [(height, height) for height in waiting])
        live = missing_spans(max(self._live_from, self.settings.start_height), self.tip, taken)
        rest = missing_spans(self.settings.start_height, min(self._live_from - 1, self.tip), taken)
        for span in windows([*live, *rest], self.settings.window_blocks):
            attempt = self._retries.attempts(span)
            endpoint = self._endpoints.choose(span, attempt)
            if endpoint is None:
                continue
            future = self._pool.submit(fetch_window, endpoint.indexer, span, self.settings.window_transactions)
            self._fetching[future] = span, endpoint
            future.add_done_callback(lambda _: self.wake.set())
            room -= 1
            if room <= 0:
                return

    def _store_fetched(self, *, finish: bool = False) -> None:
        """Store the downloads that are done; with `finish`, only those, and forget the rest."""
        for future in [future for future in self._fetching if future.done()]:
            _, endpoint = self._fetching.pop(future)
            try:
                window = future.result()
            except EndpointUnavailable as unavailable:
                endpoint.fail(str(unavailable), unavailable.retry_after)
                continue
            try:
                self._store(window)
            except WrongChain as wrong:
                endpoint.fail(f"refused: {wrong}")
        if finish:
            for future in self._fetching:
                future.cancel()
            self._fetching.clear()

    def _store(self, window: Window) -> None:
        """Store a window's complete heights in one database transaction, and note the others for another try.

        Raises `WrongChain` when its blocks are not of, or do not link to, the chain that is stored; nothing is stored.
        """
        assert self._chain is not None
        checked = window.checked
        for block in checked.blocks:
            check_chain(block, self._chain.chain_id, self._chain.first_block_hash)
        self._check_edges(window)
        self._retries.succeed(block.height for block in checked.blocks)
        for height, reason in checked.incomplete.items():
            self._retries.fail(height, f"{reason} ({window.source})")
        self._insert(checked.blocks, checked.transactions)

    def _insert(self, blocks: Sequence[BlockAnswer], transactions: Sequence[TransactionAnswer]) -> None:
        """Store complete heights; where the database refuses a row, all heights but that row's are stored."""
        assert self._chain is not None
        if not blocks:
            return
        first_hash = next((block.hash for block in blocks if block.height == 1), None)
        try:
            with transaction.atomic(durable=True):
                store.insert_window(blocks, transactions)
                self.record(self._chain.chain_id, transactions)
                self.coverage = store.cover(_spans([block.height for block in blocks]), first_hash)
        except (DataError, IntegrityError) as error:
            if len(blocks) == 1:
                self._retries.fail(blocks[0].height, f"the database refuses it: {str(error).strip():.200}")
                return
            middle = blocks[len(blocks) // 2].height
            for low in (True, False):
                self._insert(
                    [block for block in blocks if (block.height < middle) is low],
                    [transaction for transaction in transactions if (transaction.block_height < middle) is low],
                )
            return
        if first_hash is not None:
            self._chain.first_block_hash = first_hash
        self.on_progress(len(blocks), len(transactions))

    def _check_edges(self, window: Window) -> None:
        """Compare a window with its stored neighbours, so that windows of two chains never stand side by side."""
        blocks = window.checked.blocks
        heights = {block.height for block in blocks}
        edges = [height for h in heights for height in (h - 1, h + 1) if height not in heights]
        stored = store.stored_blocks(edges)
        for block in blocks:
            before, after = stored.get(block.height - 1), stored.get(block.height + 1)
            wrong = before and wrong_link(before.height, before.hash, before.total_txs, block)
            if not wrong and after:
                wrong = wrong_link(block.height, block.hash, block.total_txs, after)
            if wrong:
                raise WrongChain(f"block {block.height} does not link to what is stored: {wrong}")


def _union(*parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """All ranges in one ascending list, joined where they overlap."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(span for part in parts for span in part):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def _spans(heights: Sequence[int]) -> list[Span]:
    return [Span(first, last) for first, last in _union([(height, height) for height in heights])]
