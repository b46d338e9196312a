"""Heights that no endpoint has given whole so far, as ranges: how often each was asked for, and when to ask again."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from blocks.spans import Span, missing_spans, union

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 300.0
# A block announced a moment before it can be read is ordinary; a range that stays incomplete is worth a line.
WARN_AFTER = 5

NO_BLOCK = "no block"


@dataclass(frozen=True, slots=True)
class Range:
    """Heights with one pause. `absent`: the endpoint that was asked last has no block of any of them.

    `due`: when they are asked for again (`time.monotonic`).
    """

    span: Span
    attempts: int
    due: float
    reason: str
    absent: bool

    @property
    def stubborn(self) -> bool:
        return self.attempts >= WARN_AFTER


def _way_out(span: Span) -> str:
    if span.first == 0:
        # A known fault of real servers; without genesis, its mints are missing and balances go negative later.
        return (
            " (genesis holds mints: give an endpoint that has it in TX_INDEXER_URLS,"
            " or accept the gap: manage.py gaps accept 0 0 --reason …)"
        )
    return " (asked for again by itself; to do without: manage.py gaps accept)"


class Retries:
    """Ranges of incomplete heights with growing pauses, in memory: after a restart each is simply asked for again.

    What it costs depends on the number of ranges, not on the number of heights in them.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ranges: list[Range] = []

    def fail(self, span: Span, reason: str, *, absent: bool = False) -> None:
        """Ask for `span` again later, and later each time. Neighbours without a block become one range."""
        overlapping = [each for each in self._ranges if _touch(each.span, span)]
        attempts = max((each.attempts for each in overlapping), default=0) + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempts - 1, 20))
        failed = Range(span, attempts, self._clock() + pause, reason, absent)
        self._remove(span)
        if absent:
            failed = self._joined(failed)
        self._ranges = sorted([*self._ranges, failed], key=lambda each: each.span)
        # A part of a range that was reported before is no news.
        if attempts == WARN_AFTER and not any(each.stubborn for each in overlapping):
            logger.warning(
                "Heights stay incomplete from=%d to=%d reason=%s%s",
                failed.span.first,
                failed.span.last,
                reason,
                _way_out(failed.span),
            )

    def succeed(self, spans: Iterable[Span]) -> None:
        """Forget heights that are complete now."""
        for span in spans:
            for each in self._ranges:
                if each.stubborn and _touch(each.span, span):
                    done = Span(max(each.span.first, span.first), min(each.span.last, span.last))
                    logger.info("Heights are complete now from=%d to=%d attempts=%d", *_ends(done), each.attempts)
            self._remove(span)

    def keep_only(self, missing: Sequence[Span]) -> None:
        """Forget what is not missing any more, for whatever reason: stored or accepted, or above the tip."""
        if self._ranges:
            kept = [
                replace(each, span=Span(max(each.span.first, span.first), min(each.span.last, span.last)))
                for each in self._ranges
                for span in missing
                if _touch(each.span, span)
            ]
            self._ranges = sorted(kept, key=lambda each: each.span)

    def exists(self, spans: Iterable[Span]) -> None:
        """The endpoint that was asked last has these heights after all: fetch them now, from it."""
        now = self._clock()
        for span in spans:
            known = [each for each in self._ranges if _touch(each.span, span)]
            if known:
                attempts = max(each.attempts for each in known)
                self._remove(span)
                self._ranges.append(Range(span, attempts, now, "not fetched yet", absent=False))
        self._ranges.sort(key=lambda each: each.span)

    def ask_now(self) -> None:
        """Make every range due: an endpoint is back, or was changed meanwhile."""
        now = self._clock()
        self._ranges = [replace(each, due=min(each.due, now)) for each in self._ranges]

    def all(self) -> list[Range]:
        """Every range, ascending."""
        return list(self._ranges)

    def stubborn(self) -> list[Range]:
        """The ranges that stay incomplete though asked for again and again."""
        return [each for each in self._ranges if each.stubborn]

    def due(self) -> list[Range]:
        """The ranges that are to be asked for now."""
        now = self._clock()
        return [each for each in self._ranges if each.due <= now]

    def spans(self) -> list[tuple[int, int]]:
        """All heights of all ranges."""
        return [_ends(each.span) for each in self._ranges]

    def attempts(self, span: Span) -> int:
        """How often a height of `span` was asked for in vain, at most."""
        return max((each.attempts for each in self._ranges if _touch(each.span, span)), default=0)

    def next_due(self) -> float:
        """When (`time.monotonic`) the next range is to be asked for again; infinity when there is none.

        Ranges that are due already are under way, or wait for an endpoint: no clock brings them on.
        """
        now = self._clock()
        return min((each.due for each in self._ranges if each.due > now), default=float("inf"))

    def _joined(self, failed: Range) -> Range:
        """`failed` as one range with its neighbours that are without a block too."""
        now = self._clock()
        near = [
            each
            for each in self._ranges
            if each.absent
            and each.due > now  # the rest of a search that was cut short is still to be asked for
            and each.stubborn == failed.stubborn  # a block that is only late does not get a long pause
            and failed.span.first - 1 <= each.span.last
            and each.span.first <= failed.span.last + 1
        ]
        for each in near:
            self._ranges.remove(each)
        ends = union([_ends(each.span) for each in (failed, *near)])[0]
        return replace(
            failed,
            span=Span(*ends),
            attempts=max(each.attempts for each in (failed, *near)),
            due=max(each.due for each in (failed, *near)),
        )

    def _remove(self, span: Span) -> None:
        self._ranges = [
            replace(each, span=part)
            for each in self._ranges
            for part in missing_spans(each.span.first, each.span.last, [_ends(span)])
        ]


def _touch(one: Span, other: Span) -> bool:
    return one.first <= other.last and other.first <= one.last


def _ends(span: Span) -> tuple[int, int]:
    return span.first, span.last
