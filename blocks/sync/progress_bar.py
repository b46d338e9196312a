"""Showing how far the synchronizer is: a bar on a terminal, a line every ten seconds otherwise."""

import logging
import time
from typing import TYPE_CHECKING, NoReturn, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from blocks.sync.synchronizer import Synchronizer

logger = logging.getLogger(__name__)

LINE_SECONDS = 10.0

UNKNOWN = "unknown"
"""Shown for the tip, and for everything derived from it, while no endpoint shows one."""


class ProgressReport:
    """Counts what is stored and says so. `out`: where a bar is drawn when it is a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._bar = tqdm(unit=" blocks", file=out, dynamic_ncols=True) if out.isatty() else None
        self._synchronizer: Synchronizer | None = None
        self._blocks = self._transactions = 0
        self._started = self._said = time.monotonic()
        self._at_first = 0

    def watch(self, synchronizer: "Synchronizer") -> None:
        self._synchronizer = synchronizer

    def stored(self, blocks: int, transactions: int) -> None:
        """A window with so many rows was stored."""
        if not self._blocks:
            self._at_first = self._covered() - blocks
        self._blocks += blocks
        self._transactions += transactions
        if self._bar is not None:
            self._draw(self._bar)
        elif time.monotonic() - self._said >= LINE_SECONDS:
            self._said = time.monotonic()
            self._log()

    def counters(self) -> dict[str, int]:
        """What this process stored since it started."""
        return {"blocks_stored": self._blocks, "transactions_stored": self._transactions}

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._blocks:
            self._log()

    def _covered(self) -> int:
        return sum(last - first + 1 for first, last in self._synchronizer.coverage) if self._synchronizer else 0

    def _draw(self, bar: "tqdm[NoReturn]") -> None:
        assert self._synchronizer is not None
        covered, left = self._covered(), self._synchronizer.left()
        bar.total = None if left is None else covered + left
        bar.initial = self._at_first
        bar.n = covered
        bar.set_postfix({"transactions": self._transactions}, refresh=True)

    def _log(self) -> None:
        assert self._synchronizer is not None
        seconds = max(time.monotonic() - self._started, 0.001)
        left = self._synchronizer.left()
        logger.info(
            "Stored blocks=%d transactions=%d blocks_per_second=%.0f tip=%s left=%s seconds_left=%s",
            self._blocks,
            self._transactions,
            self._blocks / seconds,
            UNKNOWN if left is None else self._synchronizer.tip,
            UNKNOWN if left is None else left,
            UNKNOWN if left is None else f"{left * seconds / max(self._blocks, 1):.0f}",
        )
