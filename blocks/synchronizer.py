"""The Block Synchronizer: one loop over "what is missing below the tip", for backfill and live alike."""

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from blocks import chain_breaks, store
from blocks.endpoints import Endpoint, Endpoints, Probe, open_endpoint
from blocks.fetch import Edges, Search, Window, fetch_window, search
from blocks.first_height import FirstHeight
from blocks.leadership import Leadership
from blocks.models import Chain
from blocks.plan import Span, missing_spans, spans_of, union, windows
from blocks.retries import NO_BLOCK, Retries
from blocks.store import KnownHeights
from blocks.threads import Pool
from blocks.tx_indexer import EndpointUnavailable, Limits
from blocks.verify import ChainBreak, WrongChain, check_chain, check_stored
from blocks.writer import Record, write_window

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.02
REPORT_SECONDS = 2.0
# Servers heal: heights that a person accepted as missing are asked for again, rarely.
RECHECK_SECONDS = 900.0


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


class Kind(Enum):
    """What a download is for."""

    WINDOW = "rows of heights that are missing"
    RETRY = "rows of heights that were incomplete when last asked for"
    SEARCH = "which heights of a long incomplete range exist by now"
    RECHECK = "which heights of an accepted gap exist by now"
    HEAL = "rows of heights of an accepted gap"
    BREAK = "whether two blocks that did not link do by now"


@dataclass(frozen=True)
class Job:
    """A download under way. What an endpoint of an older `generation` sent is not used."""

    kind: Kind
    span: Span
    endpoint: Endpoint
    generation: int


@dataclass
class Synchronizer:
    """Follows one chain until told to stop.

    `wake` is set when there is news: by the subscription (`ring`), a finished download, a signal. `on_progress` is
    called after each stored window with (blocks, transactions) stored by it. `drop`: takes everything that is stored at
    or above a height out again, balances included.
    """

    settings: SyncSettings
    record: Record
    stop: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[int, int], None] = lambda blocks, transactions: None
    drop: Callable[[int], object] | None = None
    tip: int = field(default=-1, init=False)
    known: KnownHeights = field(default_factory=lambda: KnownHeights([], [], []), init=False)

    def __post_init__(self) -> None:
        limits = Limits(self.settings.timeout, self.settings.max_answer_bytes, self.settings.connections)
        self.endpoints = Endpoints([open_endpoint(each, limits) for each in self.settings.urls], self.wake.set)
        self._pool = Pool(self.settings.connections, "fetch")
        self._jobs: dict[Future[Any], Job] = {}
        self._retries = Retries()
        self._chain: Chain | None = None
        self._candidates: list[tuple[Endpoint, Probe]] = []
        self._first_height = FirstHeight()
        self._islands = chain_breaks.Islands()
        self._idle_work: deque[tuple[Kind, Span]] = deque()
        self._next_recheck = 0.0
        self._live_from = -1
        self._rung = False
        self._next_report = 0.0
        self._reported: object = None
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    @property
    def coverage(self) -> list[tuple[int, int]]:
        """The complete heights: inclusive (first, last) ranges, ascending."""
        return self.known.covered

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
        self.known = store.read_known_heights()
        self._first_height.load(self._chain)
        self._islands = chain_breaks.Islands(self.known.covered, self._recorded_conflict())
        self._next_recheck = time.monotonic() + RECHECK_SECONDS
        next_look = pause = 0.0
        while not self.stop.is_set():
            self.wake.clear()
            self._finish_jobs()
            if self._take_answers():
                pause = self.settings.poll
                next_look = time.monotonic() + pause
            if self._rung:
                next_look, pause, self._rung = 0.0, FIRST_LOOK_SECONDS, False
            now = time.monotonic()
            if now >= min(next_look, self.endpoints.back_at()):
                # A notification may come before the block can be read: look again soon, then later, up to the poll.
                pause = min(self.settings.poll, pause * 2 or self.settings.poll)
                next_look = now + pause
                self._look()
            settles_at = self.endpoints.settles_at()
            if now >= settles_at:
                if until_tip and self.endpoints.tip >= 0 and not self._jobs and not self._missing():
                    self._report()
                    return
                self._fetch_missing()
            if now >= self._next_report:
                self._report()
            due = [next_look, self._retries.next_due(), self.endpoints.back_at(), self.endpoints.break_due()]
            if settles_at > now:
                due.append(settles_at)
            self.wake.wait(max(0.0, min(due) - time.monotonic()))
        self._finish_jobs()

    def _look(self) -> None:
        """Ask the endpoints for their tips, and read what others changed in the coverage."""
        self.endpoints.ask()
        if self._chain is not None:
            # A person may have accepted a gap, or found rows missing, while we run.
            self.known = store.read_known_heights()
            self._retries.keep_only(self._missing())

    def _take_answers(self) -> bool:
        """Accept the tips that have come, and refuse endpoints of another chain; True when the tip moved."""
        for endpoint, answer in self._identified():
            was_away = not endpoint.current
            try:
                self._check_identity(answer)
                self.endpoints.accept_tip(endpoint, answer, self._highest_stored())
            except WrongChain as wrong:
                endpoint.refuse(str(wrong))
            else:
                if was_away:
                    self._retries.ask_now()
        reached = self.endpoints.tip
        tip = max(reached, self._highest_stored()) if reached >= 0 else self.tip
        if tip == self.tip:
            return False
        if self._live_from < 0:
            self._live_from = tip + 1
        self.tip = tip
        self._retries.keep_only(self._missing())
        self._next_report = 0.0
        return True

    def _identified(self) -> Iterator[tuple[Endpoint, Probe]]:
        """The answers that have come, once it is known which chain to follow.

        A new database adopts the chain that most endpoints serve, so it waits a moment for all of them.
        """
        answers = self.endpoints.answers()
        if self._chain is not None:
            yield from answers
            return
        self._candidates += answers
        if not self._candidates or (self.endpoints.identifying() and time.monotonic() < self.endpoints.settles_at()):
            return
        candidates, self._candidates = self._candidates, []
        block = chain_breaks.majority(
            [answer.identity for _, answer in candidates if answer.identity], self.settings.chain_id
        )
        if block is not None:
            self._chain = store.adopt_chain(block, self.settings.start_height)
            self._first_height.load(self._chain)
            logger.info("Chain adopted chain_id=%s first_block=%s", self._chain.chain_id, self._chain.first_block_hash)
        yield from candidates

    def _check_identity(self, answer: Probe) -> None:
        """Raise `WrongChain` when what an endpoint shows of itself is not the chain that is stored."""
        if not answer.identity:
            return
        if self.settings.chain_id:
            check_chain(answer.identity[0], self.settings.chain_id, "")
        assert self._chain is not None, "a chain is adopted from the first answer at the latest"
        stored = store.stored_blocks([block.height for block in answer.identity])
        for block in answer.identity:
            check_chain(block, self._chain.chain_id, self._chain.first_block_hash)
            if block.height in stored:
                check_stored(block, stored[block.height])
        self._first_height.see(answer.identity)

    def _report(self) -> None:
        """Leave what only this process knows where people and other processes can read it."""
        self._next_report = time.monotonic() + REPORT_SECONDS
        states = [
            store.EndpointReport(each.url, each.tip, each.trouble, each.answered_at) for each in self.endpoints.all
        ]
        stubborn = self._retries.stubborn()
        incomplete = [store.IncompleteReport(each.span, each.attempts, each.reason) for each in stubborn]
        reached = self.endpoints.tip
        with transaction.atomic():
            # Tips and the tip in one transaction, so that whoever reads them sees one moment.
            if self._chain is not None and reached >= 0:
                store.see_tip(max(reached, self._highest_stored()), level=reached >= self._highest_stored())
            store.report_endpoints(states)
            if incomplete != self._reported:
                store.report_incomplete(incomplete)
            if self._chain is not None:
                store.report_waiting(next((span.first for span in self._missing()), None))
                self._report_first_height()
                self._report_conflict()
            store.report_synchronizer(self._name, leads=True)
        self._reported = incomplete

    def _report_first_height(self) -> None:
        height = self._first_height.conclude(
            self._retries.all(), self.known, self.settings.start_height, len(self.endpoints.all)
        )
        if height is not None:
            store.set_first_height(height, proven=self._first_height.proven)
            self.known = store.read_known_heights()
            self._retries.keep_only(self._missing())

    def _recorded_conflict(self) -> ChainBreak | None:
        chain = self._chain
        if chain is None or not chain.conflict_stored or chain.conflict_height is None:
            return None
        return ChainBreak(chain.conflict_height, chain.conflict)

    def _report_conflict(self) -> None:
        if (stored := self._islands.stored_conflict(self.known, self.settings.start_height)) is not None:
            store.report_conflict(stored.reason, stored.height, stored=True)
            return
        confirmed = [each.chain_break for each in self.endpoints.all if each.chain_break and each.break_seen > 1]
        lowest = min(confirmed, key=lambda each: each.height, default=None)
        if lowest is not None and self.endpoints.reach < lowest.height:
            # A block that links to neither side can be accepted as a gap; two chains cannot.
            store.report_conflict(lowest.reason, None if lowest.isolated else lowest.height)
        elif any(each.refused for each in self.endpoints.all) and not any(each.usable() for each in self.endpoints.all):
            store.report_conflict(next(each.trouble for each in self.endpoints.all if each.refused))
        else:
            store.report_conflict("")

    def _missing(self) -> list[Span]:
        return missing_spans(self.settings.start_height, self.tip, self.known.all())

    def _highest_stored(self) -> int:
        return self.known.covered[-1][1] if self.known.covered else -1

    def _fetch_missing(self) -> None:
        """Start downloads: what came since we began to follow, then what is missing from below, retries beside them."""
        room = self.settings.connections * 2 - len(self._jobs)
        reach = self.endpoints.reach
        for each in self.endpoints.all:
            if each.chain_break and each.usable() and time.monotonic() >= each.break_due:
                self._recheck_break(each, each.chain_break)
        if room <= 0 or reach < 0 or self._chain is None:
            return
        for kind, span, missing_to in self._plan(reach):
            endpoint = self.endpoints.choose(span, self._retries.attempts(span))
            if endpoint is not None:
                self._fetch(kind, span, endpoint, missing_to)
                room -= 1
            elif kind in (Kind.HEAL, Kind.RECHECK):
                self._idle_work.appendleft((kind, span))
            if room <= 0 or endpoint is None:
                return

    def _plan(self, reach: int) -> Iterator[tuple[Kind, Span, int | None]]:
        """What to fetch, the most urgent first: kind, heights, and where the missing heights around them end."""
        busy = [(job.span.first, job.span.last) for job in self._jobs.values() if job.kind is not Kind.BREAK]
        retrying = any(job.kind in (Kind.RETRY, Kind.SEARCH) for job in self._jobs.values())
        retries = self._due_retries(busy, reach)
        # What has never been asked for goes first, and one retry beside it, so that neither waits for the other.
        if not retrying and (first := next(retries, None)) is not None:
            yield first
        start, most = self.settings.start_height, self.settings.window_blocks
        taken = union(self.known.all(), busy, self._retries.spans())
        tip = min(self.tip, reach)
        for missing in (
            *missing_spans(max(self._live_from, start), tip, taken),
            *missing_spans(start, min(self._live_from - 1, tip), taken),
        ):
            for span in windows([missing], most):
                yield Kind.WINDOW, span, missing.last
        yield from retries
        self._plan_rechecks(reach)
        while self._idle_work:
            kind, span = self._idle_work.popleft()
            yield kind, span, None

    def _due_retries(self, busy: Sequence[tuple[int, int]], reach: int) -> Iterator[tuple[Kind, Span, int | None]]:
        for each in self._retries.due():
            for part in missing_spans(each.span.first, min(each.span.last, reach), union(busy)):
                if each.absent and len(part) > self.settings.window_blocks:
                    yield Kind.SEARCH, part, None
                else:
                    yield from ((Kind.RETRY, span, None) for span in windows([part], self.settings.window_blocks))

    def _plan_rechecks(self, reach: int) -> None:
        """Now and then, ask for accepted gaps, and for what lies below a first height that is not proven."""
        if time.monotonic() < self._next_recheck:
            return
        self._next_recheck = time.monotonic() + RECHECK_SECONDS
        absent = [] if self._first_height.proven else self.known.absent
        for first, last in union(self.known.accepted, absent):
            for part in missing_spans(first, min(last, reach), self.known.covered):
                self._idle_work.append((Kind.RECHECK, part))

    def _fetch(self, kind: Kind, span: Span, endpoint: Endpoint, missing_to: int | None) -> None:
        if kind in (Kind.SEARCH, Kind.RECHECK):
            self._submit(kind, span, endpoint, search, endpoint.indexer, span)
            return
        witness = self.endpoints.witness(endpoint, span)
        work = partial(
            fetch_window,
            endpoint.indexer,
            span,
            self.settings.window_transactions,
            witness.indexer if witness else None,
            edges=self._edges(span),
            missing_to=None if missing_to is None else min(missing_to, endpoint.reach),
        )
        self._submit(kind, span, endpoint, work)

    def _submit(self, kind: Kind, span: Span, endpoint: Endpoint, work: Callable[..., Any], *arguments: Any) -> None:
        future = self._pool.submit(work, *arguments)
        endpoint.fetching += 1
        self._jobs[future] = Job(kind, span, endpoint, endpoint.generation)
        future.add_done_callback(lambda _: self.wake.set())

    def _edges(self, span: Span) -> Edges:
        """The complete heights nearest to `span`. Genesis has no hash, so it proves nothing."""
        below = [min(last, span.first - 1) for first, last in self.known.covered if first < span.first]
        above = [max(first, span.last + 1) for first, last in self.known.covered if last > span.last]
        return Edges(max(below, default=0) or None, min(above, default=None))

    def _recheck_break(self, endpoint: Endpoint, chain_break: ChainBreak) -> None:
        span = Span(chain_break.height - 1, chain_break.height)
        if not any(job.kind is Kind.BREAK and job.endpoint is endpoint for job in self._jobs.values()):
            self._submit(Kind.BREAK, span, endpoint, chain_breaks.look_again, endpoint.indexer, chain_break)

    def _finish_jobs(self) -> None:
        """Store the downloads that are done, and note what they tell of heights that are not there."""
        for future in [future for future in self._jobs if future.done()]:
            job = self._jobs.pop(future)
            endpoint = job.endpoint
            endpoint.fetching -= 1
            try:
                result = future.result()
                # What an endpoint sent before it was left may be what it was left for.
                if job.generation == endpoint.generation:
                    self._take_result(job, result)
                    endpoint.succeed(rows=True)
            except EndpointUnavailable as unavailable:
                endpoint.fail(str(unavailable), unavailable.retry_after, rows=True)
            except WrongChain as wrong:
                endpoint.refuse(str(wrong))

    def _take_result(self, job: Job, result: Any) -> None:
        if isinstance(result, Window):
            self._store(job, result)
            if result.failure is not None:
                raise result.failure
        elif isinstance(result, Search) and job.kind is Kind.RECHECK:
            for span in windows(result.existing, self.settings.window_blocks):
                self._idle_work.append((Kind.HEAL, span))
            self._first_height.see_below(result.existing)
        elif isinstance(result, Search):
            self._retries.exists(result.existing)
            for span in result.absent:
                self._retries.fail(span, f"{NO_BLOCK} ({result.source})", absent=True)
        elif result is None:
            job.endpoint.lift()
        else:
            self._limit(job.endpoint, result)

    def _forget_downloads(self) -> None:
        for future, job in self._jobs.items():
            future.cancel()
            job.endpoint.fetching -= 1
        self._jobs.clear()

    def _store(self, job: Job, window: Window) -> None:
        """Store a window's complete heights, and note the others for another try. Raises `WrongChain`."""
        assert self._chain is not None
        written = write_window(self._chain, self.record, window)
        stored = [block for block in window.checked.blocks if block.height not in written.refused]
        if written.chain_break is not None:
            stored = [block for block in stored if block.height < written.chain_break.height]
        if written.coverage is not None:
            self.known = KnownHeights(written.coverage, self.known.accepted, self.known.absent)
            self._islands.stored(spans_of([block.height for block in stored]), job.endpoint.url)
        if self._first_height.see(stored):
            self._next_report = 0.0
        for span in written.healed:
            logger.info("Accepted gap is complete now, the acceptance ends from=%d to=%d", span.first, span.last)
        self._retries.succeed(spans_of([block.height for block in stored]))
        if job.kind is not Kind.HEAL:
            self._note_incomplete(window, window.checked.incomplete | written.refused, written.chain_break)
        if job.kind is Kind.HEAL:
            if (conflict := chain_breaks.between_the_sides(window)) is not None:
                self._islands.prove_conflict(conflict, self.known)
                self._next_report = 0.0
        elif written.chain_break is not None:
            self._limit(job.endpoint, written.chain_break)
        if written.blocks:
            self.on_progress(written.blocks, written.transactions)

    def _note_incomplete(self, window: Window, reasons: dict[int, str], chain_break: ChainBreak | None) -> None:
        """Ask again later for heights that were not whole; neighbours with one cause are one range."""
        heights = [h for h in sorted(reasons) if chain_break is None or h < chain_break.height]
        if window.absent is not None:
            heights = [height for height in heights if height < window.absent.first]
            self._retries.fail(window.absent, f"{NO_BLOCK} ({window.source})", absent=True)
        for absent in (True, False):
            for span in spans_of([height for height in heights if (reasons[height] == NO_BLOCK) is absent]):
                self._retries.fail(span, f"{reasons[span.first]} ({window.source})", absent=absent)

    def _limit(self, endpoint: Endpoint, chain_break: ChainBreak) -> None:
        """Take nothing from an endpoint from a break on, and, once it is confirmed, drop what it gave before."""
        if chain_break.isolated and any(first <= chain_break.height <= last for first, last in self.known.accepted):
            endpoint.lift()
            return
        endpoint.limit(chain_break)
        if endpoint.break_seen < 2:
            return
        self._next_report = 0.0
        if self._islands.discredited(endpoint.url, chain_break, self.known, self.settings.start_height) and self.drop:
            logger.error("Heights are dropped, they do not link to the chain below from=%d", chain_break.height)
            self.drop(chain_break.height)
            self.known = store.read_known_heights()
            self._islands.dropped(chain_break.height)
