"""The chain as it stands now: how far a recording is let out, what can be queried, and who hears of new blocks."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from replay.faults import Faults
from replay.filters import Window
from replay.recording import Recording, Row


class Announcement(NamedTuple):
    """A block that has just appeared, with all of its transactions, as subscriptions tell it."""

    block: Row
    transactions: Sequence[Row]


class _Waiting(NamedTuple):
    """Blocks that have appeared and cannot all be queried yet. ``blocks`` counts from the start of the recording."""

    blocks: int
    since: float
    block_delay: float
    transaction_delay: float


class Chain:
    """One recording, let out block by block. Safe to use from several threads.

    ``start`` says how much is there at first: None all, an int that many blocks, a float up to 1 that share of them.
    Raises ValueError for any other ``start``.
    """

    def __init__(self, recording: Recording, faults: Faults, start: float | None = None) -> None:
        self.recording = recording
        self._faults = faults
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        # Three counts of blocks: those announced, those that can be queried, those whose transactions can be.
        self._appeared = self._known = self._filled = _first_blocks(len(recording.blocks), start)

    @property
    def appeared(self) -> int:
        """How many blocks have appeared, whether or not they can be queried yet."""
        return self._appeared

    @property
    def tip(self) -> int | None:
        """``latestBlockHeight``; None when there is no block yet."""
        self._settle()
        return self.recording.heights[self._known - 1] if self._known else None

    def advance(self, count: int) -> list[Announcement]:
        """Let ``count`` more blocks appear, fewer when the recording ends. Returns what subscribers should hear."""
        with self._lock:
            first, last = self._appeared, min(self._appeared + count, len(self.recording.blocks))
            if last <= first:
                return []
            self._appeared = last
            faults = self._faults
            self._waiting.append(
                _Waiting(last, time.monotonic(), faults.announce_before_block, max(faults.announce_early, 0.0))
            )
        self._settle()
        return [
            Announcement(block, self.recording.transactions_at(block["height"]))
            for block in self.recording.blocks[first:last]
            if block["height"] not in faults.missing_blocks
        ]

    def blocks(self, window: Window, *, descending: bool = False) -> Sequence[Row]:
        """The blocks that can be queried now, of the heights in ``window``."""
        self._settle()
        heights = self.recording.heights
        first = bisect_left(heights, window.low)
        last = min(bisect_right(heights, window.high), self._known)
        lost = self._faults.missing_blocks
        rows = self.recording.blocks[first:last]
        return _ordered([row for row in rows if row["height"] not in lost] if lost else rows, descending)

    def transactions(self, window: Window, *, descending: bool = False) -> Sequence[Row]:
        """The transactions that can be queried now, of the heights in ``window``. Counts as one ask of each height."""
        self._settle()
        recording, faults = self.recording, self._faults
        first = recording.transactions_below(window.low)
        last = self._transactions_there(window)
        if last <= first:
            return []
        rows = recording.transactions[first:last]
        hidden = set()
        for height in list(faults.missing_transactions):
            end = recording.transactions_below(height + 1)
            has_any = end > recording.transactions_below(height)
            if has_any and first < end <= last and faults.lacks_a_transaction(height):
                hidden.add(end - 1)
        lost = faults.missing_blocks
        if hidden or lost:
            places = enumerate(rows, start=first)
            rows = [row for place, row in places if place not in hidden and row["block_height"] not in lost]
        return _ordered(rows, descending)

    def transaction_by_hash(self, wanted: str) -> Row | None:
        """The last transaction with this hash that can be queried now."""
        self._settle()
        place = self.recording.by_hash.get(wanted)
        if place is None or place >= self._transactions_there(None):
            return None
        row = self.recording.transactions[place]
        return None if row["block_height"] in self._faults.missing_blocks else row

    def _transactions_there(self, window: Window | None) -> int:
        """How many transactions, from the start of the recording, can be queried now and are not above ``window``."""
        if not self._filled:
            return 0
        highest = self.recording.heights[self._filled - 1]
        return self.recording.transactions_below((highest if window is None else min(highest, window.high)) + 1)

    def _settle(self) -> None:
        """Make queryable what has waited long enough. Nothing that was queryable once is ever taken back."""
        if not self._waiting:
            return
        now = time.monotonic()
        with self._lock:
            for waiting in self._waiting:
                block_at = waiting.since + min(waiting.block_delay, self._faults.announce_before_block)
                if block_at > now:
                    break
                self._known = max(self._known, waiting.blocks)
                if block_at + min(waiting.transaction_delay, self._faults.announce_early) > now:
                    break
                self._filled = waiting.blocks
            while self._waiting and self._waiting[0].blocks <= self._filled:
                self._waiting.popleft()


class Address:
    """What is served under one address: the chain itself, or another one when the faults say so."""

    def __init__(self, recording: Recording, faults: Faults, start: float | None = None) -> None:
        self.own = Chain(recording, faults, start)
        self.faults = faults
        self._other: tuple[Recording | bool, Chain] | None = None

    @property
    def chain(self) -> Chain:
        """The chain that is served now."""
        wanted = self.faults.other_chain
        if not wanted:
            return self.own
        # Compared by identity: recordings are large, and comparing them by value would read them through.
        if self._other is None or self._other[0] is not wanted:
            if isinstance(wanted, Recording):
                self._other = (wanted, Chain(wanted, self.faults))
            else:
                self._other = (
                    wanted,
                    Chain(self.own.recording.as_other_chain(), self.faults, start=self.own.appeared),
                )
        return self._other[1]

    def advance(self, count: int) -> list[Announcement]:
        """Let ``count`` more blocks appear on the chain that is served now."""
        chain = self.chain
        if self.faults.other_chain is True:
            self.own.advance(count)
        return chain.advance(count)


class Subscribers:
    """Those who wait for new blocks. To be used from the server's event loop only."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Announcement]] = set()

    def __len__(self) -> int:
        return len(self._queues)

    def join(self) -> asyncio.Queue[Announcement]:
        """A queue that gets every announcement from now on, until :meth:`leave`."""
        queue: asyncio.Queue[Announcement] = asyncio.Queue()
        self._queues.add(queue)
        return queue

    def leave(self, queue: asyncio.Queue[Announcement]) -> None:
        """Hear no more; harmless when already gone."""
        self._queues.discard(queue)

    def publish(self, announcements: Sequence[Announcement]) -> None:
        """Tell everybody, in order."""
        for announcement in announcements:
            for queue in self._queues:
                queue.put_nowait(announcement)


def _first_blocks(blocks: int, start: float | None) -> int:
    if start is None:
        return blocks
    if isinstance(start, int) and not isinstance(start, bool) and start >= 0:
        return min(start, blocks)
    if isinstance(start, float) and 0 <= start <= 1:
        return round(blocks * start)
    raise ValueError(f"start is None, a number of blocks of 0 or more, or a share from 0.0 to 1.0; found {start!r}")


def _ordered(rows: Sequence[Row], descending: bool) -> Sequence[Row]:
    return rows[::-1] if descending else rows
