"""Heights that an endpoint could not give whole: when to ask again, and who has been asked how often."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

from blocks.plan import Span

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 30.0
# A block announced a moment before it can be read is ordinary; a height that stays away is worth a line.
WARN_AFTER = 5


@dataclass
class _Gap:
    attempts: int
    due: float
    reason: str


def _way_out(height: int) -> str:
    if height == 0:
        # A known fault of real servers; without genesis, its mints are missing and balances go negative later.
        return (
            " (genesis holds mints: give an endpoint that has it in TX_INDEXER_URLS,"
            " or accept the gap: manage.py gaps accept 0 0 --reason …)"
        )
    return " (it is asked for again; to do without it: manage.py gaps accept)"


class Retries:
    """Growing pauses per height, in memory: after a restart every gap is simply asked for again."""

    def __init__(self) -> None:
        self._gaps: dict[int, _Gap] = {}

    def fail(self, height: int, reason: str) -> None:
        """Ask for `height` again later, and later each time."""
        attempts = self._gaps[height].attempts + 1 if height in self._gaps else 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))
        self._gaps[height] = _Gap(attempts, time.monotonic() + pause, reason)
        if attempts == WARN_AFTER:
            logger.warning("Height stays incomplete height=%d reason=%s%s", height, reason, _way_out(height))

    def succeed(self, heights: Iterable[int]) -> None:
        for height in heights:
            gap = self._gaps.pop(height, None)
            if gap and gap.attempts >= WARN_AFTER:
                logger.info("Height is complete now height=%d attempts=%d", height, gap.attempts)

    def stubborn(self) -> dict[int, tuple[int, str]]:
        """Heights that stay away, with the number of attempts and the reason of the last."""
        return {h: (gap.attempts, gap.reason) for h, gap in self._gaps.items() if gap.attempts >= WARN_AFTER}

    def reasons(self) -> dict[int, str]:
        """Every height that is incomplete now, with the reason of the last attempt."""
        return {height: gap.reason for height, gap in sorted(self._gaps.items())}

    def waiting(self) -> list[int]:
        """Heights that are not to be asked for yet, ascending."""
        now = time.monotonic()
        return sorted(height for height, gap in self._gaps.items() if gap.due > now)

    def attempts(self, span: Span) -> int:
        """How often a height of `span` was asked for in vain, at most."""
        if not self._gaps:
            return 0
        return max((gap.attempts for height, gap in self._gaps.items() if span.first <= height <= span.last), default=0)

    def next_due(self) -> float:
        """When (`time.monotonic`) the next height is to be asked for again; infinity when there is none.

        Heights that are due already are under way, or wait for an endpoint: no clock brings them on.
        """
        now = time.monotonic()
        return min((gap.due for gap in self._gaps.values() if gap.due > now), default=float("inf"))
