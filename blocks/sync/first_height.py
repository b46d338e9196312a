"""Where a chain begins: at block 1, at a later block that says so, or where no endpoint has anything below."""

import logging
from collections.abc import Iterable, Sequence

from blocks.models import Chain
from blocks.source.payloads import BlockAnswer
from blocks.spans import Span, missing_spans, union
from blocks.store import KnownHeights
from blocks.sync.retries import WARN_AFTER, Range

logger = logging.getLogger(__name__)


class FirstHeight:
    """The height of the chain's first block after genesis, as far as it is known.

    A hard fork may go on counting, so that it is not always 1: its first block has no predecessor. A source that was
    pruned, or started late, shows a first block that has one, and nothing below it, genesis included.
    """

    def __init__(self) -> None:
        self._recorded: int | None = None
        self._height: int | None = None
        self._candidate: int | None = None
        self._lowest: BlockAnswer | None = None
        self.proven = False

    def load(self, chain: Chain | None) -> None:
        """Begin with what is recorded."""
        if chain is not None:
            self._height = self._recorded = chain.first_height
            self.proven = chain.first_height_proven

    def read_again(self, chain: Chain) -> None:
        """Begin again where a command has taken out what it was concluded from."""
        if chain.first_height != self._recorded:
            self._candidate = self._lowest = None
            self.load(chain)

    def see(self, blocks: Iterable[BlockAnswer]) -> bool:
        """Look for a block that has no predecessor; True when one is news."""
        if self.proven:
            return False
        for block in blocks:
            if block.height > 0 and (self._lowest is None or block.height < self._lowest.height):
                self._lowest = block
                if not block.last_block_hash:
                    self._candidate = block.height
                    return True
        return False

    def see_below(self, existing: Sequence[Span]) -> None:
        """An endpoint has heights below the first one after all."""
        lowest = min((span.first for span in existing if span.first > 0), default=None)
        if not self.proven and lowest is not None and self._height is not None and lowest < self._height:
            self._height = lowest

    def conclude(
        self, incomplete: Sequence[Range], known: KnownHeights, start_height: int, endpoints: int
    ) -> int | None:
        """The height to record now; None when there is no news.

        `incomplete`: what no endpoint has given so far. `endpoints`: how many there are; each was asked at least once
        before a first block that has a predecessor counts.
        """
        absent = [(each.span.first, each.span.last) for each in incomplete if each.absent]
        candidate = self._candidate
        if candidate is not None and not missing_spans(
            max(1, start_height), candidate - 1, union(absent, known.absent)
        ):
            # Nothing is below it, and the block says so itself: a row that only lost its predecessor has some below.
            self._height, self.proven, self._candidate = candidate, True, None
            if candidate > 1:
                logger.info("The chain begins at height=%d: its block has no predecessor", candidate)
        if self._height is None and known.covered and incomplete:
            lowest, first_stored = incomplete[0], known.covered[0][0]
            asked = lowest.absent and lowest.attempts >= max(WARN_AFTER, endpoints)
            if asked and lowest.span.first < first_stored == lowest.span.last + 1 and first_stored > 1:
                self._height = first_stored
                logger.warning(
                    "No endpoint has anything below height=%d, which counts as the first; it has a predecessor."
                    " transactions_not_counted=%s",
                    first_stored,
                    self._transactions_below(first_stored),
                )
        if self._height is None or self._height == self._recorded:
            return None
        self._recorded = self._height
        return self._height

    def _transactions_below(self, height: int) -> int | None:
        if self._lowest is None or self._lowest.height != height:
            return None
        return self._lowest.total_txs - self._lowest.num_txs
