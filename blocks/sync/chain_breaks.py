"""Telling two chains apart: which one to adopt, where a source changes from one to the other, what came from there."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from blocks import store
from blocks.links import ChainBreak, break_between, cannot_follow, wrong_link
from blocks.source.client import EndpointUnavailable, TooMuch, TxIndexer, Unreadable
from blocks.source.payloads import BlockAnswer
from blocks.spans import NO_END, Span, missing_spans, union
from blocks.store import KnownHeights, Ranges
from blocks.sync.fetch import Window
from blocks.sync.window_checks import stored_block


def majority(identities: Sequence[Sequence[BlockAnswer]], chain_id: str) -> BlockAnswer | None:
    """The first block of the chain that most endpoints serve, the first one's where as many serve another.

    `identities`: the first block and the last, of each endpoint. `chain_id`: the only one that may be adopted, "" for
    any. None when there is none.
    """
    firsts = [blocks[0] for blocks in identities if not chain_id or blocks[0].chain_id == chain_id]
    if not firsts:
        return None
    votes = Counter((block.chain_id, block.hash if block.height == 1 else "") for block in firsts)
    return max(firsts, key=lambda block: votes[block.chain_id, block.hash if block.height == 1 else ""])


def look_again(indexer: TxIndexer, chain_break: ChainBreak) -> ChainBreak | None:
    """Whether an endpoint still serves two blocks that do not link; None when they do by now.

    Raises `EndpointUnavailable`.
    """
    height = chain_break.height
    try:
        if chain_break.lower is not None:
            answer = indexer.blocks(Span(height, height), below=chain_break.lower)
            if answer.below is None or not answer.rows:
                return None
            wrong = cannot_follow(stored_block(answer.below), stored_block(answer.rows[0]))
            return chain_break if wrong else None
        rows = {block.height: block for block in indexer.blocks(Span(height - 1, height + 1)).rows}
    except (TooMuch, Unreadable) as trouble:
        raise EndpointUnavailable(indexer.url, str(trouble)) from None
    lower, upper, next_one = (rows.get(at) for at in (height - 1, height, height + 1))
    # Where a block is gone, the window that needs it will tell.
    if lower is None or upper is None or not wrong_link(lower, upper):
        return None
    isolated = next_one is not None and wrong_link(upper, next_one) is not None
    return replace(break_between(lower, upper), isolated=isolated)


def between_the_sides(window: Window) -> ChainBreak | None:
    """The break in a window that fills an accepted gap, where it proves that its sides are of two chains.

    The source has every block from one side to the other, and exactly one pair of neighbours does not link.
    """
    rows = {block.height: block for block in (*window.blocks, *window.edges)}
    heights = range(window.span.first - 1, window.span.last + 2)
    if any(height not in rows for height in heights):
        return None
    breaks = [
        break_between(rows[height - 1], rows[height])
        for height in heights[1:]
        if wrong_link(rows[height - 1], rows[height])
    ]
    return breaks[0] if len(breaks) == 1 else None


class Islands:
    """The stored heights that a running synchronizer has put above missing ones, by the endpoint that gave them.

    They are of the chain below only once the heights between are there and link. What was stored before it ran is never
    given up without a person.
    """

    def __init__(self) -> None:
        self._before: Ranges = []
        self._given: dict[str, Ranges] = {}
        self._conflict: ChainBreak | None = None
        self._across_a_gap = False
        self._reported = False

    def go_on(self, covered: Ranges) -> None:
        """Begin, or begin again after an outage: what is stored and was not given here is from before."""
        given = union(*self._given.values())
        parts = [part for first, last in covered for part in missing_spans(first, last, given)]
        self._before = [(part.first, part.last) for part in parts]
        self._conflict, self._reported = None, False

    def follow(self, recorded: ChainBreak | None, known: KnownHeights) -> None:
        """Go on with what the database says is in conflict; what it says no more was taken out by a command."""
        if recorded is not None:
            self.record(recorded, known)
        elif self._reported:
            self._conflict = None
        self._reported = recorded is not None

    def record(self, conflict: ChainBreak, known: KnownHeights) -> None:
        """Go on with what the database says is in conflict: found before, or being taken out by a command."""
        if self._conflict is None or conflict.height != self._conflict.height:
            self._conflict = conflict
            self._across_a_gap = not _is_inside(known.covered, conflict.height)

    def stored(self, spans: Iterable[Span], url: str) -> None:
        """Remember which endpoint gave heights."""
        self._given[url] = union(self._given.get(url, []), [(span.first, span.last) for span in spans])

    def dropped(self, height: int) -> None:
        """Forget what was taken out from `height` on."""
        for url, given in self._given.items():
            self._given[url] = [(first, min(last, height - 1)) for first, last in given if first < height]

    def prove_conflict(self, chain_break: ChainBreak, known: KnownHeights) -> None:
        """Both sides of a break are stored: nothing can be answered from what is above it."""
        height = next(
            (max(first, chain_break.height) for first, last in known.covered if last >= chain_break.height), None
        )
        if height is not None:
            self.record(ChainBreak(height, chain_break.reason), known)

    def discredited(self, url: str, chain_break: ChainBreak, known: KnownHeights, start: int) -> bool:
        """Whether what is stored from a break on came from the endpoint that shows the break, and can be given up.

        It can while heights below it are missing, so that nothing has ever been answered as indexed from there.
        """
        above = chain_break.height
        given = [last for _, last in self._given.get(url, []) if last >= above]
        before = [last for _, last in self._before if last >= above]
        return bool(given) and not before and _indexed_to(known, start) < above

    def stored_conflict(self, known: KnownHeights, start: int) -> ChainBreak | None:
        """Two stored blocks that cannot be of one chain: at an accepted gap, or as recorded; None when all can."""
        conflict = self._conflict
        if conflict is not None and (
            not any(last >= conflict.height for _, last in known.covered)
            or (self._across_a_gap and _is_inside(known.covered, conflict.height))
        ):
            # It was taken out, or the gap is filled with blocks that link: others are never stored.
            conflict = self._conflict = None
        if conflict is not None:
            self._reported = True  # the caller writes it
            return conflict
        if not known.accepted:
            return None
        conflicts = store.side_conflicts(_indexed_to(known, start))
        return conflicts[0] if conflicts else None


def _is_inside(covered: Ranges, height: int) -> bool:
    """Whether `height` and the one below it are both complete."""
    return any(first < height <= last for first, last in covered)


def _indexed_to(known: KnownHeights, start: int) -> int:
    """The last height before the first missing one."""
    missing = missing_spans(start, NO_END, known.all())
    return missing[0].first - 1 if missing else NO_END
