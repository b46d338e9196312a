"""What to download next: live heights first, then what is missing from below, with retries and rechecks beside them."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from blocks.spans import Span, missing_spans, union, windows
from blocks.store import KnownHeights
from blocks.sync.retries import Retries


class Kind(Enum):
    """What a download is for."""

    WINDOW = "rows of heights that are missing"
    RETRY = "rows of heights that were incomplete when last asked for"
    SEARCH = "which heights of a long incomplete range exist by now"
    RECHECK = "which heights of an accepted gap exist by now"
    HEAL = "rows of heights of an accepted gap"
    BREAK = "whether two blocks that did not link do by now"


@dataclass(frozen=True)
class Download:
    """Heights to ask an endpoint for; `missing_to`: where the missing heights that begin in `span` end."""

    kind: Kind
    span: Span
    missing_to: int | None = None


@dataclass
class Planner:
    """Plans the downloads of one chain, none of more than `window_blocks` heights but searches.

    `idle`: what is to be done when nothing else is.
    """

    start_height: int
    window_blocks: int
    idle: deque[Download] = field(default_factory=deque)

    def plan(
        self,
        known: KnownHeights,
        retries: Retries,
        running: Sequence[Download],
        *,
        tip: int,
        reach: int,
        live_from: int,
    ) -> Iterator[Download]:
        """The downloads to begin, the most urgent first; what is not taken from the iterator is planned again.

        `running`: downloads under way. `reach`: the highest height that an endpoint in use can give.
        """
        busy = [(each.span.first, each.span.last) for each in running if each.kind is not Kind.BREAK]
        due = self._due(retries, busy, reach)
        # What has never been asked for goes first, and one retry beside it, so that neither waits for the other.
        retrying = any(each.kind in (Kind.RETRY, Kind.SEARCH) for each in running)
        if not retrying and (first := next(due, None)) is not None:
            yield first
        taken = union(known.all(), busy, retries.spans())
        highest = min(tip, reach)
        for missing in (
            *missing_spans(max(live_from, self.start_height), highest, taken),
            *missing_spans(self.start_height, min(live_from - 1, highest), taken),
        ):
            for span in windows([missing], self.window_blocks):
                yield Download(Kind.WINDOW, span, missing.last)
        yield from due
        while self.idle:
            yield self.idle.popleft()

    def _due(self, retries: Retries, busy: Sequence[tuple[int, int]], reach: int) -> Iterator[Download]:
        for each in retries.due():
            for part in missing_spans(each.span.first, min(each.span.last, reach), union(busy)):
                if each.absent and len(part) > self.window_blocks:
                    yield Download(Kind.SEARCH, part)
                else:
                    yield from (Download(Kind.RETRY, span) for span in windows([part], self.window_blocks))
