"""How far every answer is true: the indexed height, read in the same database snapshot as the rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from blocks.models import ABSENT_HEIGHTS
from events.outbox import store

APPLIED = "applied"
"""PostgreSQL notification channel: rung, at commit, when transfers were applied and no backlog of them was left."""

# Accepted gaps count as indexed; how many heights they leave out is told beside.
INDEXED_HEIGHT_SQL = f"""
SELECT chain_id, start_height, tip, upper(coverage) - 1 AS highest,
       (SELECT upper(part) - 1 FROM unnest(coverage + accepted + absent) AS part WHERE part @> start_height)
           AS contiguous,
       (SELECT coalesce(sum(upper(part) - lower(part)), 0)::bigint FROM unnest(accepted - coverage - absent) AS part)
           AS accepted,
       first_block_hash, lower(coverage) AS lowest, generation,
       CASE WHEN pg_is_in_recovery() THEN clock_timestamp()::text ELSE pg_current_snapshot()::text END AS snapshot,
       pulse.lowest_pending, pulse.applied_at::text AS applied_at, pulse.newest,
       first_height, conflict, CASE WHEN conflict_stored THEN conflict_height END AS conflict_height
FROM chain CROSS JOIN LATERAL (SELECT {ABSENT_HEIGHTS} AS absent) AS lowest, (
    SELECT coalesce(range_agg(int8range(gap.first_height, gap.last_height, '[]')), '{{}}') AS accepted
    FROM accepted_gaps AS gap
) AS gaps, ({store.PULSE}) AS pulse
"""  # noqa: S608  # our own constant
"""What `indexed_height_of` reads: one row, or none while nothing is stored."""


@dataclass(frozen=True, slots=True)
class IndexedHeight:
    """Heights, all inclusive; −1 where there is nothing yet.

    `height`: every block up to here is stored, its transfers applied. `includes_up_to`: nothing above is in;
    larger than `height` only while there are gaps, or windows being applied in parallel. `contiguous`: stored without
    a gap. `tip`: the highest the source said it has. `accepted`: heights left out because a person accepted the gap.
    `generation`: how often rows of heights that were indexed before were corrected.
    `first_height`: of the chain's first block after genesis, None until it is known.
    `conflict`: two blocks that do not link, in words, "" when there are none; `conflict_stored`: both are stored, so
    that `height` ends below the upper one and nothing may be answered from what is above.
    `version`: what else tells one state of the rows from another; two snapshots that are equal in everything hold the
    same rows.
    """

    chain_id: str | None
    height: int
    includes_up_to: int
    contiguous: int
    tip: int
    accepted: int = 0
    generation: int = 0
    first_height: int | None = None
    conflict: str = ""
    conflict_stored: bool = False
    version: tuple[object, ...] = field(default=(), repr=False, compare=False)


def ring() -> None:
    """Say, at the commit of the caller's transaction, that transfers were applied."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [APPLIED])


def read_indexed_height() -> IndexedHeight:
    """The state of the index in the caller's snapshot; one small statement, whatever the size of the tables."""
    with connection.cursor() as cursor:
        cursor.execute(INDEXED_HEIGHT_SQL)
        return indexed_height_of(cursor.fetchone())


def indexed_height_of(row: Sequence[Any] | None) -> IndexedHeight:
    """What the row of `INDEXED_HEIGHT_SQL` says."""
    if row is None:
        return IndexedHeight(None, -1, -1, -1, -1)
    (
        chain_id,
        start,
        tip,
        highest,
        contiguous,
        accepted,
        *chain_version,
        generation,
        snapshot,
        pending,
        applied_at,
        newest,
        first_height,
        conflict,
        conflict_height,
    ) = row
    contiguous = -1 if contiguous is None else contiguous
    if conflict_height is not None:
        # What does not link to the chain below it is not of this chain, however complete it is.
        contiguous = min(contiguous, conflict_height - 1)
    indexed = contiguous if pending is None else min(contiguous, pending - 1)
    # Below the start nothing was ever looked at, so nothing is claimed of it.
    indexed = indexed if indexed >= start else -1
    includes_up_to = max(-1 if highest is None else highest, indexed)
    version = (start, *chain_version, generation, applied_at, newest, first_height, conflict, conflict_height)
    if indexed != includes_up_to or applied_at is None:
        # While heights are missing or wait to be applied, rows change and the heights need not. Without the outbox's
        # account of it (it is pruned) a repair could not be told either. Then any commit at all makes a new version.
        # A replica does not know which transactions are under way, so there each moment is a version.
        version = (*version, snapshot)
    return IndexedHeight(
        chain_id,
        indexed,
        includes_up_to,
        contiguous,
        tip,
        accepted,
        generation,
        first_height,
        conflict,
        conflict_height is not None,
        version,
    )
