"""Gaps: what is missing below the tip, what is missing among stored rows, and what a person accepted as missing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from blocks import store
from blocks.links import ChainBreak, cannot_follow
from blocks.models import AcceptedGap, Chain, IncompleteRange
from blocks.spans import NO_END, Span, missing_spans, spans_of, union
from blocks.store import begin_generation, read_coverage, read_known_heights
from postgres.fields import height_ranges

BATCH_HEIGHTS = 100_000


class NoChain(Exception):
    """Nothing is stored yet, so there is nothing to look through."""


@dataclass(frozen=True)
class Gap:
    """Heights that are not in, and why where the synchronizer knows it ("" otherwise)."""

    span: Span
    reason: str


@dataclass(frozen=True)
class Fault:
    """A height that counts as complete and is not, by what is stored."""

    height: int
    reason: str


# A height is wrong when its block is gone, its transactions are not all there, or it does not follow the one before.
# Genesis has no hash and is not in the running total, so nothing links block 1 to it.
_UNLINKED = "it does not follow the block before it"
_FAULTS = """
WITH heights AS (
    SELECT height FROM chain, unnest(coverage * int8multirange(int8range(%(first)s, %(last)s, '[]'))) AS part,
    generate_series(lower(part), upper(part) - 1) AS height
),
counted AS (
    SELECT block_height, count(*) AS number, max(index) AS highest FROM transactions
    WHERE block_height BETWEEN %(first)s AND %(last)s GROUP BY block_height
),
linked AS (
    SELECT height, num_txs, total_txs, last_block_hash,
           lag(height) OVER w AS before, lag(hash) OVER w AS before_hash, lag(total_txs) OVER w AS before_total
    FROM blocks WHERE height BETWEEN %(first)s - 1 AND %(last)s WINDOW w AS (ORDER BY height)
)
SELECT heights.height, CASE
    WHEN linked.height IS NULL THEN 'its block is gone'
    WHEN linked.num_txs <> coalesce(counted.number, 0) OR counted.highest >= linked.num_txs
        THEN format('it has %%s transactions of %%s', coalesce(counted.number, 0), linked.num_txs)
    ELSE %(unlinked)s END
FROM heights LEFT JOIN linked USING (height) LEFT JOIN counted ON counted.block_height = heights.height
WHERE linked.height IS NULL OR linked.num_txs <> coalesce(counted.number, 0) OR counted.highest >= linked.num_txs
   OR (linked.before = linked.height - 1 AND linked.before > 0
       AND (linked.last_block_hash <> linked.before_hash OR linked.total_txs <> linked.before_total + linked.num_txs))
ORDER BY heights.height
"""


# The reason of a gap in short: that of the lowest incomplete range in it.
_REASONS = """
SELECT first, last, coalesce(known.reason, '') FROM unnest(%s::bigint[], %s::bigint[]) AS gap (first, last)
LEFT JOIN LATERAL (
    SELECT CASE WHEN first_height = last_height THEN format('height %%s: %%s', first_height, reason)
                ELSE format('heights %%s to %%s: %%s', first_height, last_height, reason) END AS reason
    FROM incomplete_heights WHERE first_height <= last AND last_height >= first ORDER BY first_height LIMIT 1
) AS known ON true ORDER BY first
"""


def open_spans() -> tuple[list[Span], int]:
    """The missing ranges up to the tip that are not accepted, in order; and the number of complete heights."""
    chain = Chain.objects.filter(id=1).first()
    if chain is None:
        return [], 0
    known = read_known_heights()
    stored = sum(last - first + 1 for first, last in known.covered)
    return missing_spans(chain.start_height, chain.tip, known.all()), stored


def with_reasons(spans: Sequence[Span]) -> list[Gap]:
    """Each of these gaps as one, whose reason is that of its lowest height that stays away."""
    with connection.cursor() as cursor:
        cursor.execute(_REASONS, [[span.first for span in spans], [span.last for span in spans]])
        return [Gap(Span(first, last), reason) for first, last, reason in cursor.fetchall()]


def accepted_gaps(most: int) -> list[Gap]:
    """The first `most` gaps that a person accepted."""
    found = AcceptedGap.objects.order_by("first_height", "id")[:most]
    return [Gap(Span(each.first_height, each.last_height), each.reason) for each in found]


def open_gaps() -> list[Gap]:
    """The missing ranges up to the tip, in order; each incomplete range is a gap of its own, with its reason."""
    ranges = list(IncompleteRange.objects.order_by("first_height"))
    gaps = []
    for span in open_spans()[0]:
        known = [
            Gap(Span(max(each.first_height, span.first), min(each.last_height, span.last)), each.reason)
            for each in ranges
            if each.first_height <= span.last and each.last_height >= span.first
        ]
        covered = [(gap.span.first, gap.span.last) for gap in known]
        gaps += [*known, *(Gap(each, "") for each in missing_spans(span.first, span.last, covered))]
    return sorted(gaps, key=lambda gap: gap.span)


def find_faults() -> Iterator[Fault]:
    """Look through everything that counts as complete, by what is stored: counts and links. Raises `NoChain`."""
    chain = Chain.objects.filter(id=1).first()
    if chain is None:
        raise NoChain("nothing is stored yet")
    for first, last in chain.coverage:
        for start in range(first, last + 1, BATCH_HEIGHTS):
            with connection.cursor() as cursor:
                cursor.execute(
                    _FAULTS, {"first": start, "last": min(start + BATCH_HEIGHTS - 1, last), "unlinked": _UNLINKED}
                )
                for height, reason in cursor.fetchall():
                    # Which of two blocks that do not fit is wrong cannot be told from here: both are.
                    if reason == _UNLINKED:
                        yield Fault(height - 1, "the block after it does not follow it")
                    yield Fault(height, reason)
    for conflict in side_conflicts():
        yield Fault(conflict.height, conflict.reason)


def side_conflicts() -> list[ChainBreak]:
    """The gaps, accepted or not, whose two sides cannot be of one chain: by totals, times and predecessors."""
    return store.side_conflicts(NO_END)


def uncover(heights: list[int]) -> None:
    """Take heights out of the coverage, so that a synchronizer, running or started later, reads them again.

    It begins a generation: what was said of these heights may change.
    """
    ranges = height_ranges([(span.first, span.last) for span in spans_of(heights)])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chain SET coverage = coverage - %s, generation = generation + 1", [ranges])  # type: ignore[list-item]  # psycopg dumps ranges; the stubs know plain values only


def accept(span: Span, reason: str) -> AcceptedGap:
    """Declare that the heights of `span` will not be completed. Raises ValueError where they are not missing."""
    chain = Chain.objects.filter(id=1).first()
    if chain is None:
        raise ValueError("nothing is stored yet, so no height is known to be missing")
    covered, accepted = read_coverage()
    if missing_spans(span.first, span.last, union(covered, accepted)) != [span]:
        raise ValueError(f"heights {span.first} to {span.last} are not all missing: see manage.py gaps list")
    if chain.conflict_height is not None and span.first <= chain.conflict_height <= span.last + 1:
        raise ValueError(f'{chain.conflict}: two chains are no gap, see docs/operations.md, "The chain was reset"')
    below, above = store.stored_neighbours(span)
    if below is not None and above is not None and (wrong := cannot_follow(below, above)):
        raise ValueError(f'its two sides are not of one chain: {wrong}; see docs/operations.md, "The chain was reset"')
    if span.last > chain.tip:
        raise ValueError(f"height {span.last} is above the tip {chain.tip}: it is not missing, it has not come yet")
    with transaction.atomic():
        IncompleteRange.objects.filter(first_height__gte=span.first, last_height__lte=span.last).delete()
        return AcceptedGap.objects.create(first_height=span.first, last_height=span.last, reason=reason)


def revoke(span: Span) -> int:
    """Ask for accepted heights again, which counted as in, so it begins a generation; returns how many entries went."""
    with transaction.atomic():
        deleted, _ = AcceptedGap.objects.filter(first_height=span.first, last_height=span.last).delete()
        if deleted:
            begin_generation()
    return deleted
