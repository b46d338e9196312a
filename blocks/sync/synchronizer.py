"""The Block Synchronizer: one loop over "what is missing below the tip", for backfill and live alike."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import Error, transaction

from blocks import store
from blocks.links import ChainBreak
from blocks.models import Chain
from blocks.source.client import EndpointUnavailable, Limits
from blocks.source.endpoint_url import EndpointAddress
from blocks.source.endpoints import Endpoint, Endpoints, Probe, open_endpoint
from blocks.spans import Span, missing_spans, spans_of, union, windows
from blocks.store import KnownHeights
from blocks.sync import chain_breaks
from blocks.sync.download_planner import Download, Kind, Planner
from blocks.sync.fetch import Edges, Search, Window, fetch_window, search
from blocks.sync.first_height import FirstHeight
from blocks.sync.leadership import Leadership
from blocks.sync.retries import NO_BLOCK, Retries
from blocks.sync.state_reports import Reports
from blocks.sync.window_checks import WrongChain, check_chain, check_stored
from blocks.sync.writer import Record, write_window
from blocks.thread_pool import Pool
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.02
REPORT_SECONDS = 2.0
# Servers heal: heights that a person accepted as missing are asked for again, rarely.
RECHECK_SECONDS = 900.0


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


@dataclass(frozen=True)
class Job:
    """A download under way. What an endpoint of an older `generation` sent is not used."""

    download: Download
    endpoint: Endpoint
    generation: int


@dataclass
class Synchronizer:
    """Follows one chain until told to stop.

    `wake` is set when there is news: by the subscription (`ring`), a finished download, a signal. `on_progress` is
    called after each stored window with (blocks, transactions) stored by it. `drop`: takes everything that is stored at
    or above a height out again, balances included; False when it cannot now.
    """

    settings: SyncSettings
    record: Record
    stop: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    on_progress: Callable[[int, int], None] = lambda blocks, transactions: None
    drop: Callable[[int], bool] | None = None
    tip: int = field(default=-1, init=False)
    known: KnownHeights = field(default_factory=lambda: KnownHeights([], [], []), init=False)

    def __post_init__(self) -> None:
        limits = Limits(self.settings.timeout, self.settings.max_answer_bytes, self.settings.connections)
        self.endpoints = Endpoints([open_endpoint(each, limits) for each in self.settings.urls], self.wake.set)
        self._outage = OutageLog(logger, "Synchronizer waits for the database", "Synchronizer goes on")
        self._pool = Pool(self.settings.connections, "fetch")
        self._jobs: dict[Future[Any], Job] = {}
        self._retries = Retries()
        self._chain: Chain | None = None
        self._candidates: list[tuple[Endpoint, Probe]] = []
        self._first_height = FirstHeight()
        self._islands = chain_breaks.Islands()
        self._planner = Planner(self.settings.start_height, self.settings.window_blocks)
        self._next_recheck = 0.0
        self._live_from = -1
        self._rung = False
        self._next_report = 0.0
        self._report_soon = False
        self._reports = Reports()

    @property
    def coverage(self) -> list[tuple[int, int]]:
        """The complete heights: inclusive (first, last) ranges, ascending."""
        return self.known.covered

    def run(self, *, until_tip: bool = False) -> None:
        """Follow the chain until `stop` is set, or, with `until_tip`, until nothing is missing up to the tip.

        The window in hand is finished first. A database or a source that is away, or refuses, is waited for.
        """
        leadership = Leadership()
        try:
            while not self.stop.is_set():
                try:
                    if leadership.wait(self.stop, self._reports.stand_by):
                        self._follow(until_tip)
                        break
                except Error as error:
                    self._outage.met(error)
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
        self._islands.go_on(self.known.covered)
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
            # A new tip is reported when its block is stored, which is not to wait for the report.
            if now >= self._next_report or (self._report_soon and not self._jobs):
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
            # A person may have accepted a gap, found rows missing, or taken heights out, while we run.
            self._chain = Chain.objects.get(id=1)
            self._first_height.read_again(self._chain)
            self.known = store.read_known_heights()
            self._retries.keep_only(self._missing())

    def _take_answers(self) -> bool:
        """Accept the tips that have come, and refuse endpoints of another chain; True when the tip moved."""
        for endpoint, answer in self._identified():
            was_away = not endpoint.current
            try:
                if self._check_identity(answer):
                    endpoint.show_stored_chain()
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
        self._report_soon = True
        return True

    def _identified(self) -> Iterator[tuple[Endpoint, Probe]]:
        """The answers that have come, once it is known which chain to follow.

        A new database adopts the chain that most endpoints serve, so it waits a moment for all of them.
        """
        answers = self.endpoints.answers()
        if self._chain is not None:
            yield from answers
            return
        for endpoint, _ in answers:
            endpoint.waits_for_others = True
        self._candidates += answers
        if not self._candidates or (self.endpoints.identifying() and time.monotonic() < self.endpoints.settles_at()):
            return
        candidates, self._candidates = self._candidates, []
        for endpoint, _ in candidates:
            endpoint.waits_for_others = False
        block = chain_breaks.majority(
            [answer.identity for _, answer in candidates if answer.identity], self.settings.chain_id
        )
        if block is not None:
            self._chain = store.adopt_chain(block, self.settings.start_height)
            self._first_height.load(self._chain)
            logger.info("Chain adopted chain_id=%s first_block=%s", self._chain.chain_id, self._chain.first_block_hash)
        yield from candidates

    def _check_identity(self, answer: Probe) -> bool:
        """Raise `WrongChain` when what an endpoint shows of itself is not the chain that is stored.

        Returns whether it proves that all of it is: its block at the tip is stored.
        """
        if not answer.identity:
            return False
        if self.settings.chain_id:
            check_chain(answer.identity[0], self.settings.chain_id, "")
        assert self._chain is not None, "a chain is adopted from the first answer at the latest"
        stored = store.stored_blocks([block.height for block in answer.identity])
        for block in answer.identity:
            check_chain(block, self._chain.chain_id, self._chain.first_block_hash)
            if block.height in stored:
                check_stored(block, stored[block.height])
        self._first_height.see(answer.identity)
        # Genesis has no hash.
        return answer.tip > 0 and any(block.height == answer.tip in stored for block in answer.identity)

    def _report(self) -> None:
        """Leave what only this process knows where people and other processes can read it."""
        self._next_report = time.monotonic() + REPORT_SECONDS
        self._report_soon = False
        with transaction.atomic():
            # The tips and the tip in one transaction, so that a reader sees one moment.
            self._reports.endpoints(self.endpoints.all)
            if self._chain is not None:
                self._report_first_height()
                if (reached := self.endpoints.tip) >= 0:
                    store.see_tip(max(reached, self._highest_stored()), level=reached >= self._highest_stored())
                store.report_waiting(next((span.first for span in self._missing()), None))
                self._islands.follow(store.recorded_conflict(), self.known)
                stored = self._islands.stored_conflict(self.known, self.settings.start_height)
                self._reports.conflict(self.endpoints, stored)
            self._reports.incomplete(self._retries.stubborn())
            self._reports.lead()
        self._outage.over()  # it could be written

    def _report_first_height(self) -> None:
        height = self._first_height.conclude(
            self._retries.all(), self.known, self.settings.start_height, len(self.endpoints.all)
        )
        if height is not None:
            store.set_first_height(height, proven=self._first_height.proven)
            self.known = store.read_known_heights()
            self._retries.keep_only(self._missing())

    def left(self) -> int | None:
        """How many heights are missing up to the tip; None while that is unknown."""
        return None if self.tip < 0 else sum(len(span) for span in self._missing())

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
        self._plan_rechecks(reach)
        busy = [job.download for job in self._jobs.values()]
        for download in self._planner.plan(
            self.known, self._retries, busy, tip=self.tip, reach=reach, live_from=self._live_from
        ):
            endpoint = self.endpoints.choose(download.span, self._retries.attempts(download.span))
            if endpoint is not None:
                self._fetch(download, endpoint)
                room -= 1
            elif download.kind in (Kind.HEAL, Kind.RECHECK):
                self._planner.idle.appendleft(download)
            if room <= 0 or endpoint is None:
                return

    def _plan_rechecks(self, reach: int) -> None:
        """Now and then, ask for accepted gaps, and for what lies below a first height that is not proven."""
        if time.monotonic() < self._next_recheck or self._planner.idle:
            return
        self._next_recheck = time.monotonic() + RECHECK_SECONDS
        absent = [] if self._first_height.proven else self.known.absent
        for first, last in union(self.known.accepted, absent):
            for part in missing_spans(first, min(last, reach), self.known.covered):
                self._planner.idle.append(Download(Kind.RECHECK, part))

    def _fetch(self, download: Download, endpoint: Endpoint) -> None:
        span = download.span
        if download.kind in (Kind.SEARCH, Kind.RECHECK):
            self._submit(download, endpoint, search, endpoint.indexer, span)
            return
        witness = self.endpoints.witness(endpoint, span)
        work = partial(
            fetch_window,
            endpoint.indexer,
            span,
            self.settings.window_transactions,
            witness.indexer if witness else None,
            edges=self._edges(span),
            missing_to=None if download.missing_to is None else min(download.missing_to, endpoint.reach),
        )
        self._submit(download, endpoint, work)

    def _submit(self, download: Download, endpoint: Endpoint, work: Callable[..., Any], *arguments: Any) -> None:
        future = self._pool.submit(work, *arguments)
        endpoint.fetching += 1
        self._jobs[future] = Job(download, endpoint, endpoint.generation)
        future.add_done_callback(lambda _: self.wake.set())

    def _edges(self, span: Span) -> Edges:
        """The complete heights nearest to `span`. Genesis has no hash, so it proves nothing."""
        below = [min(last, span.first - 1) for first, last in self.known.covered if first < span.first]
        above = [max(first, span.last + 1) for first, last in self.known.covered if last > span.last]
        return Edges(max(below, default=0) or None, min(above, default=None))

    def _recheck_break(self, endpoint: Endpoint, chain_break: ChainBreak) -> None:
        span = Span(chain_break.height - 1, chain_break.height)
        if not any(job.download.kind is Kind.BREAK and job.endpoint is endpoint for job in self._jobs.values()):
            download = Download(Kind.BREAK, span)
            endpoint.break_due = float("inf")  # until it has answered
            self._submit(download, endpoint, chain_breaks.look_again, endpoint.indexer, chain_break)

    def _finish_jobs(self) -> None:
        """Store the downloads that are done, and note what they tell of heights that are not there."""
        for future in [future for future in self._jobs if future.done()]:
            job = self._jobs.pop(future)
            endpoint = job.endpoint
            self._end(job)
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
        elif isinstance(result, Search) and job.download.kind is Kind.RECHECK:
            for span in windows(result.existing, self.settings.window_blocks):
                self._planner.idle.append(Download(Kind.HEAL, span))
            if result.span.last < job.download.span.last:
                self._planner.idle.append(Download(Kind.RECHECK, Span(result.span.last + 1, job.download.span.last)))
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
            self._end(job)
        self._jobs.clear()

    def _end(self, job: Job) -> None:
        job.endpoint.fetching -= 1
        if job.download.kind is Kind.BREAK:
            job.endpoint.break_due = time.monotonic()

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
        # What was stored before this process began is seen where the heights below it are asked for.
        if self._first_height.see([*stored, *window.edges]):
            self._next_report = 0.0
        for span in written.healed:
            logger.info("Accepted gap is complete now, the acceptance ends from=%d to=%d", span.first, span.last)
        self._retries.succeed(spans_of([block.height for block in stored]))
        if job.download.kind is not Kind.HEAL:
            self._note_incomplete(window, window.checked.incomplete | written.refused, written.chain_break)
        if job.download.kind is Kind.HEAL:
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
            if self.drop(chain_break.height):
                self._islands.dropped(chain_break.height)
                self._retries.ask_now()
            self.known = store.read_known_heights()
