"""How far every answer is true: the indexed height, read in the same database snapshot as the rows."""

from dataclasses import dataclass, field

from django.db import connection

from events import outbox

# Accepted gaps count as indexed; how many heights they leave out is told beside.
_COVERAGE = """
SELECT chain_id, start_height, tip, upper(coverage) - 1,
       (SELECT upper(part) - 1 FROM unnest(coverage + accepted) AS part WHERE part @> start_height),
       (SELECT coalesce(sum(upper(part) - lower(part)), 0)::bigint FROM unnest(accepted - coverage) AS part),
       first_block_hash, lower(coverage), generation, pg_current_snapshot()::text
FROM chain, (
    SELECT coalesce(range_agg(int8range(first_height, last_height, '[]')), '{}') AS accepted FROM accepted_gaps
) AS gaps
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """Heights, all inclusive; −1 where there is nothing yet.

    `indexed`: every block up to here is stored and every transfer in them applied. `up_to`: nothing above here is in;
    larger than `indexed` only while there are gaps, or windows being applied in parallel. `contiguous`: stored without
    a gap. `tip`: the highest the source said it has. `accepted`: heights left out because a person accepted the gap.
    `version`: what else tells one state of the rows from another; two snapshots that are equal in everything hold the
    same rows.
    """

    chain_id: str | None
    indexed: int
    up_to: int
    contiguous: int
    tip: int
    accepted: int = 0
    version: tuple[object, ...] = field(default=(), repr=False, compare=False)


def read_progress() -> Progress:
    """The state of the index in the caller's snapshot; two small look-ups, whatever the size of the tables."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERAGE)
        row = cursor.fetchone()
    if row is None:
        return Progress(None, -1, -1, -1, -1)
    chain_id, start, tip, highest, contiguous, accepted, *chain_version, snapshot = row
    contiguous = -1 if contiguous is None else contiguous
    pulse = outbox.pulse()
    indexed = contiguous if pulse.lowest_pending is None else min(contiguous, pulse.lowest_pending - 1)
    # Below the start nothing was ever looked at, so nothing is claimed of it.
    indexed = indexed if indexed >= start else -1
    up_to = max(-1 if highest is None else highest, indexed)
    version = (start, *chain_version, pulse.applied_at, pulse.newest)
    if indexed != up_to or pulse.applied_at is None:
        # While heights are missing or wait to be applied, rows change and the heights need not. Without the outbox's
        # word (it is pruned) a repair could not be told either. Then any commit at all makes a new version.
        version = (*version, snapshot)
    return Progress(chain_id, indexed, up_to, contiguous, tip, accepted, version)
