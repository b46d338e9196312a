"""Writing windows: blocks, transactions and coverage, in one database transaction. Hand-written SQL lives here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.copying import copy_rows
from blocks.fields import height_ranges
from blocks.models import Chain
from blocks.plan import Span
from blocks.storable import storable
from blocks.verify import StoredBlock

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


def cover(spans: Sequence[Span], first_block_hash: str | None) -> list[tuple[int, int]]:
    """Add `spans` to the coverage, and block 1's hash when it is among them, in the caller's database transaction.

    Returns the coverage after it: inclusive (first, last) ranges, ascending. Heights that were in before, or counted as
    in because a person accepted that they are missing, begin a generation.
    """
    ranges = height_ranges([(span.first, span.last) for span in spans])
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE chain SET coverage = coverage + %s, first_block_hash = coalesce(%s, first_block_hash),"
            " generation = generation + (%s && (coverage + ("
            "SELECT coalesce(range_agg(int8range(first_height, last_height, '[]')), '{}') FROM accepted_gaps)))::int"
            " RETURNING coverage",
            [ranges, first_block_hash, ranges],  # type: ignore[list-item]  # psycopg dumps ranges; the stubs know plain values only
        )
        return [(part.lower, part.upper - 1) for part in cursor.fetchone()[0]]


def read_coverage() -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Complete heights, and heights that a person accepted as gaps: inclusive (first, last) ranges, ascending."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coverage,"
            " (SELECT range_agg(int8range(first_height, last_height, '[]')) FROM accepted_gaps) FROM chain"
        )
        covered, accepted = cursor.fetchone()
    return [(part.lower, part.upper - 1) for part in covered], [(part.lower, part.upper - 1) for part in accepted or ()]


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


def see_tip(tip: int) -> None:
    """Remember the highest height that the source said it has."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chain SET tip = %s, tip_seen_at = now()", [tip])


def stored_blocks(heights: Sequence[int]) -> dict[int, StoredBlock]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT height, hash, last_block_hash, num_txs, total_txs FROM blocks WHERE height = ANY(%s)",
            [list(heights)],
        )
        return {row[0]: StoredBlock(*row) for row in cursor.fetchall()}
