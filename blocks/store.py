"""Writing windows: blocks, transactions and coverage, in one database transaction. Hand-written SQL lives here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from blocks.links import ChainBreak, StoredBlock, cannot_follow
from blocks.models import ABSENT_HEIGHTS, Chain
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span, union
from postgres.copy import copy_rows
from postgres.fields import height_ranges
from postgres.text import storable

_BLOCKS = "COPY blocks (height, hash, last_block_hash, time, num_txs, total_txs, proposer_address) FROM STDIN"
_TRANSACTIONS = (
    "COPY transactions (block_height, index, hash, success, gas_wanted, gas_used, gas_fee, memo, error, messages,"
    " events) FROM STDIN"
)


def adopt_chain(block: BlockAnswer, start_height: int) -> Chain:
    """The chain of this database, made from the first block ever seen when there is none yet."""
    known = {"chain_id": storable(block.chain_id), "start_height": start_height}
    if block.height == 1:
        known["first_block_hash"] = storable(block.hash)
    return Chain.objects.get_or_create(id=1, defaults=known)[0]


def insert_window(blocks: Sequence[BlockAnswer], transactions: Sequence[TransactionAnswer]) -> None:
    """Insert complete heights in the caller's database transaction; rows of these heights from before are replaced."""
    heights = [block.height for block in blocks]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM blocks WHERE height = ANY(%s)", [heights])
        cursor.execute("DELETE FROM transactions WHERE block_height = ANY(%s)", [heights])
    with copy_rows(_BLOCKS) as copy:
        for block in blocks:
            copy.write_row(
                (
                    block.height,
                    storable(block.hash),
                    storable(block.last_block_hash),
                    block.stored_time(),
                    block.num_txs,
                    block.total_txs,
                    storable(block.proposer_address_raw),
                )
            )
    with copy_rows(_TRANSACTIONS) as copy:
        for transaction in transactions:
            copy.write_row(
                (
                    transaction.block_height,
                    transaction.index,
                    storable(transaction.hash),
                    transaction.success,
                    transaction.gas_wanted,
                    transaction.gas_used,
                    storable(transaction.stored_fee()),
                    storable(transaction.memo),
                    storable(transaction.response.error),
                    bytes(transaction.messages).decode(),
                    transaction.events.decode(),
                )
            )


_COVER = f"""
UPDATE chain SET coverage = coverage + %s, first_block_hash = coalesce(%s, first_block_hash),
    generation = generation + (%s && (coverage + ({ABSENT_HEIGHTS}) + (
        SELECT coalesce(range_agg(int8range(gap.first_height, gap.last_height, '[]')), '{{}}') FROM accepted_gaps AS gap
    )))::int
RETURNING coverage
"""  # noqa: S608  # our own constant


def cover(spans: Sequence[Span], first_block_hash: str | None) -> list[tuple[int, int]]:
    """Add `spans` to the coverage, and block 1's hash when it is among them, in the caller's database transaction.

    Returns the coverage after it: inclusive (first, last) ranges, ascending. Heights that were in before, or counted as
    in because a person accepted that they are missing, or because no endpoint had them, begin a generation.
    """
    ranges = height_ranges([(span.first, span.last) for span in spans])
    with connection.cursor() as cursor:
        cursor.execute(
            _COVER,
            [ranges, first_block_hash, ranges],  # type: ignore[list-item]  # psycopg dumps ranges; the stubs know plain values only
        )
        return [(part.lower, part.upper - 1) for part in cursor.fetchone()[0]]


Ranges = list[tuple[int, int]]
"""Inclusive (first, last) ranges of heights, ascending."""


@dataclass(frozen=True, slots=True)
class KnownHeights:
    """What need not be fetched: complete heights, those that a person accepted as gaps, and those below the chain."""

    covered: Ranges
    accepted: Ranges
    absent: Ranges

    def all(self) -> Ranges:
        """All of them together."""
        return union(self.covered, self.accepted, self.absent)


def read_known_heights() -> KnownHeights:
    """The state of all heights; nothing is known while no chain is adopted."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN_HEIGHTS)
        row = cursor.fetchone() or ((), (), ())
    return KnownHeights(*([(part.lower, part.upper - 1) for part in ranges or ()] for ranges in row))


_KNOWN_HEIGHTS = f"""
SELECT coverage,
       (SELECT range_agg(int8range(gap.first_height, gap.last_height, '[]')) FROM accepted_gaps AS gap),
       {ABSENT_HEIGHTS}
FROM chain
"""  # noqa: S608  # our own constant


def read_coverage() -> tuple[Ranges, Ranges]:
    """Complete heights, and heights that a person accepted as gaps."""
    known = read_known_heights()
    return known.covered, known.accepted


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """One endpoint for `report_endpoints`; `answered_at` is None until it has answered."""

    url: str
    tip: int
    trouble: str
    answered_at: datetime | None


# An answer that shows an endpoint below what is stored is of no use, and a process that starts knows no earlier one: so
# what was answered before stands until a level endpoint answers again.
_REPORT_ENDPOINTS = """
INSERT INTO endpoint_states AS known (url, tip, trouble, answered_at, seen_at)
SELECT url, tip, trouble, CASE WHEN trouble = '' AND tip >= highest THEN answered_at END, now()
FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::timestamptz[]) AS report (url, tip, trouble, answered_at)
CROSS JOIN (SELECT coalesce((SELECT upper(coverage) - 1 FROM chain), -1) AS highest) AS stored
ON CONFLICT (url) DO UPDATE SET tip = excluded.tip, trouble = excluded.trouble,
    answered_at = coalesce(excluded.answered_at, known.answered_at), seen_at = excluded.seen_at
"""


def report_endpoints(reports: Sequence[EndpointReport]) -> None:
    """Write the state of every endpoint of this deployment, and remove others."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM endpoint_states WHERE url <> ALL(%s)", [[each.url for each in reports]])
        cursor.execute(
            _REPORT_ENDPOINTS,
            [
                [each.url for each in reports],
                [each.tip for each in reports],
                [storable(each.trouble) for each in reports],
                [each.answered_at for each in reports],
            ],
        )


@dataclass(frozen=True, slots=True)
class IncompleteReport:
    """A range of heights that stays incomplete, for `report_incomplete`."""

    span: Span
    attempts: int
    reason: str


def report_incomplete(reports: Sequence[IncompleteReport]) -> None:
    """Write the ranges that stay incomplete where they changed, and remove those that are complete now."""
    columns: list[list[Any]] = [
        [each.span.first for each in reports],
        [each.span.last for each in reports],
        [storable(each.reason) for each in reports],
        [each.attempts for each in reports],
    ]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM incomplete_heights WHERE first_height <> ALL(%s)", [columns[0]])
        if reports:
            cursor.execute(
                "INSERT INTO incomplete_heights AS known (first_height, last_height, reason, attempts, asked_at)"
                " SELECT *, now() FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::int[])"
                " ON CONFLICT (first_height) DO UPDATE SET last_height = excluded.last_height,"
                " reason = excluded.reason, attempts = excluded.attempts, asked_at = excluded.asked_at"
                " WHERE (known.last_height, known.reason, known.attempts)"
                " <> (excluded.last_height, excluded.reason, excluded.attempts)",
                columns,
            )


def report_waiting(height: int | None) -> None:
    """Write the lowest height below the tip that is not in, None when all are; and since when it is that one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chain SET waiting_height = %s, waiting_since = now() WHERE waiting_height IS DISTINCT FROM %s",
            [height, height],
        )


def begin_generation() -> None:
    """Say, in the caller's transaction, that rows of heights which were indexed before have changed."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chain SET generation = generation + 1")


def see_tip(tip: int, *, level: bool) -> None:
    """Remember the highest height of which an endpoint has a block; never below what is stored.

    `level`: an endpoint has everything up to it. Otherwise all endpoints are behind, and when it was seen stays.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chain SET tip = greatest(%s, coalesce(upper(coverage) - 1, -1)),"
            " tip_seen_at = CASE WHEN %s THEN now() ELSE tip_seen_at END",
            [tip, level],
        )


def report_synchronizer(name: str, *, leads: bool) -> None:
    """Show that this synchronizer is alive, and whether it is the one that writes; forget those long gone."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM synchronizer_states WHERE seen_at < now() - interval '1 hour'")
        cursor.execute(
            "INSERT INTO synchronizer_states AS known (name, leads, since, seen_at) VALUES (%s, %s, now(), now())"
            " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at, leads = excluded.leads,"
            " since = CASE WHEN known.leads = excluded.leads THEN known.since ELSE excluded.since END",
            [name, leads],
        )


_LINK_COLUMNS = "height, hash, last_block_hash, num_txs, total_txs, time"


def stored_blocks(heights: Sequence[int]) -> dict[int, StoredBlock]:
    """The blocks at those of `heights` that are complete: a row that was left at another height is no evidence."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_LINK_COLUMNS} FROM blocks"  # noqa: S608  # our own constant
            " WHERE height = ANY(%s) AND EXISTS (SELECT FROM chain WHERE coverage @> height)",
            [list(heights)],
        )
        return {row[0]: StoredBlock(*row) for row in cursor.fetchall()}


_NEIGHBOURS = f"""
SELECT {_LINK_COLUMNS} FROM blocks WHERE height IN (
    (SELECT max(least(upper(part), %(first)s) - 1) FROM chain, unnest(coverage) AS part WHERE lower(part) < %(first)s),
    (SELECT min(greatest(lower(part), %(next)s)) FROM chain, unnest(coverage) AS part WHERE upper(part) > %(next)s)
)
"""  # noqa: S608  # our own constant


def stored_neighbours(span: Span) -> tuple[StoredBlock | None, StoredBlock | None]:
    """The complete blocks nearest to `span`, below and above it; None where there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_NEIGHBOURS, {"first": span.first, "next": span.last + 1})
        rows = [StoredBlock(*row) for row in cursor.fetchall()]
    below = next((row for row in rows if row.height < span.first), None)
    return below, next((row for row in rows if row.height > span.last), None)


def recorded_conflict() -> ChainBreak | None:
    """The conflict of what is stored that the database names, found by a synchronizer or being taken out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conflict_height, conflict FROM chain WHERE conflict_stored AND conflict_height IS NOT NULL"
        )
        row = cursor.fetchone()
    return None if row is None else ChainBreak(*row)


_GAP_SIDES = """
SELECT {below}, {above} FROM (
    SELECT lower(part) AS first, lag(upper(part) - 1) OVER (ORDER BY part) AS before
    FROM chain, unnest(coverage) AS part
) AS parts JOIN blocks AS below ON below.height = before JOIN blocks AS above ON above.height = first
WHERE first <= %s ORDER BY first
"""


def side_conflicts(up_to: int) -> list[ChainBreak]:
    """The gaps whose two sides cannot be of one chain, as far as the upper side is at most `up_to`; by height."""
    columns = {side: ", ".join(f"{side}.{name}" for name in _LINK_COLUMNS.split(", ")) for side in ("below", "above")}
    conflicts = []
    with connection.cursor() as cursor:
        cursor.execute(_GAP_SIDES.format(**columns), [up_to])
        for row in cursor:
            lower, upper = StoredBlock(*row[: len(row) // 2]), StoredBlock(*row[len(row) // 2 :])
            if wrong := cannot_follow(lower, upper):
                gap = f"the two sides of the gap {lower.height + 1} to {upper.height - 1} are not of one chain"
                conflicts.append(ChainBreak(upper.height, f"{gap}: {wrong}"))
    return conflicts


def end_accepted_gaps() -> list[Span]:
    """Remove, in the caller's database transaction, the accepted gaps whose heights are all complete now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM accepted_gaps AS gap USING chain"
            " WHERE int8range(gap.first_height, gap.last_height, '[]') <@ chain.coverage"
            " RETURNING gap.first_height, gap.last_height"
        )
        return [Span(*row) for row in cursor.fetchall()]


def set_first_height(height: int, *, proven: bool) -> None:
    """Record the height of the chain's first block after genesis; see `Chain.first_height`.

    Heights that counted as absent before and do not any more begin a generation.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chain SET generation = generation + coalesce((first_height > %(height)s)::int, 0),"
            " first_height = %(height)s, first_height_proven = %(proven)s"
            " WHERE (first_height, first_height_proven) IS DISTINCT FROM (%(height)s, %(proven)s)",
            {"height": height, "proven": proven},
        )


def report_conflict(text: str, height: int | None = None, *, stored: bool = False) -> None:
    """Write which contradiction keeps the index from going on, "" when there is none.

    `height`: of the upper one of two blocks that do not link. `stored`: both are stored, so that nothing from there on
    can be answered from.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chain SET conflict_height = %(height)s, conflict = %(text)s, conflict_stored = %(stored)s"
            " WHERE (conflict_height, conflict, conflict_stored) IS DISTINCT FROM (%(height)s, %(text)s, %(stored)s)",
            {"height": height, "text": storable(text), "stored": stored},
        )
