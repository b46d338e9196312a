"""Dropping everything stored from a height on, of a chain that turned out to be another one, while processors run.

From the top down, in batches, each one database transaction: whatever ends it, what is stored below the last batch is
whole, and nothing of it is left above. Until the last batch the chain's row says that heights from the first one on
cannot be trusted, so nothing is answered from them, and a second run finishes what the first one began.
Hand-written SQL lives here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from balances.reconciliation.correction import Correction
from blocks.incomplete_blocks import holes
from blocks.models import Chain
from blocks.spans import Span, missing_spans, union
from blocks.store import read_coverage
from events import ledger_lock
from events.outbox import backlog
from indexer_project import wiring
from indexer_project.reparse import (
    ANOTHER_RUNS,
    LOCK_SECONDS,
    ReparseImpossible,
    apply_within,
    correct_heights,
    patiently,
)
from postgres.limits import MAX_INT64

logger = logging.getLogger(__name__)

DROP_SECONDS = 10.0
"""How long a synchronizer waits for locks before it goes on without."""

BATCH_HEIGHTS = 5_000
BATCH_TRANSACTIONS = 5_000
BATCH_TRANSFERS = 20_000

# A text that is there already names the blocks that do not link.
_BEGIN = """
UPDATE chain SET conflict = CASE conflict WHEN '' THEN %(text)s ELSE conflict END, conflict_stored = true,
                 conflict_height = least(conflict_height, %(first)s), generation = generation + 1
WHERE conflict_height IS NULL OR NOT conflict_stored OR conflict_height > %(first)s
"""

_LOWEST = """
SELECT greatest(%(first)s, least(top, coalesce(greatest(blocks, transactions, transfers), %(first)s))) FROM (
    SELECT greatest(
               (SELECT max(height) FROM blocks), (SELECT max(block_height) FROM transactions),
               (SELECT max(block_height) FROM transfers)
           ) AS top,
           (SELECT height + 1 FROM blocks WHERE height >= %(first)s ORDER BY height DESC OFFSET %(heights)s LIMIT 1)
               AS blocks,
           (SELECT block_height + 1 FROM transactions WHERE block_height >= %(first)s
            ORDER BY block_height DESC, index DESC OFFSET %(transactions)s LIMIT 1) AS transactions,
           (SELECT block_height + 1 FROM transfers WHERE block_height >= %(first)s
            ORDER BY block_height DESC, tx_index DESC, event_index DESC OFFSET %(transfers)s LIMIT 1) AS transfers
) AS found
"""

_PENDING = "SELECT id, first_height FROM outbox WHERE applied_at IS NULL AND last_height >= %s ORDER BY id FOR UPDATE"

_DELETE = {
    "blocks": "DELETE FROM blocks WHERE height >= %s",
    "transactions": "DELETE FROM transactions WHERE block_height >= %s",
    "refused_events": "DELETE FROM refused_events WHERE block_height >= %s",
    # Before the rows that they are copies of: without these they would count as applied.
    "dead_letters": "DELETE FROM set_aside_messages WHERE outbox_id IN (SELECT id FROM outbox WHERE last_height >= %s)",
    "messages": "DELETE FROM outbox WHERE last_height >= %s",
    "accepted_gaps": "DELETE FROM accepted_gaps WHERE first_height >= %s",
    "incomplete_ranges": "DELETE FROM incomplete_heights WHERE first_height >= %s",
}

_CUT = """
UPDATE accepted_gaps SET last_height = %(lowest)s - 1 WHERE last_height >= %(lowest)s;
UPDATE incomplete_heights SET last_height = %(lowest)s - 1 WHERE last_height >= %(lowest)s
"""

_UNCOVER = """
UPDATE chain SET coverage = coverage - int8multirange(int8range(%(lowest)s, NULL)), generation = generation + 1,
    first_block_hash = CASE WHEN %(lowest)s > 1 THEN first_block_hash ELSE '' END,
    first_height_proven = first_height_proven AND coalesce(first_height < %(lowest)s, false),
    first_height = CASE WHEN first_height < %(lowest)s THEN first_height END
"""

_END = "UPDATE chain SET conflict = '', conflict_height = NULL, conflict_stored = false WHERE conflict_height >= %s"


@dataclass(frozen=True, slots=True)
class DroppedHeights:
    """What was taken out from height `first` on. `messages`: of the outbox, applied or not."""

    first: int
    blocks: int = 0
    transactions: int = 0
    transfers: int = 0
    refused_events: int = 0
    messages: int = 0


def drop_heights(first: int, patience: float) -> DroppedHeights:
    """Take out everything that is stored of heights from `first` on, and what balances hold by it.

    What messages that wait tell of heights below is applied. A batch that cannot have its locks is tried again for
    `patience` seconds. Raises `ReparseImpossible`; what was done before stays done.
    """
    if not ledger_lock.begin_correction():
        raise ReparseImpossible(ANOTHER_RUNS)
    try:
        done = DroppedHeights(first)
        if not patiently(lambda: _begin(first), patience):
            return done
        lowest = None
        while lowest != first:
            lowest, counts = patiently(lambda: _drop_batch(first), patience)
            done = DroppedHeights(
                first,
                done.blocks + counts["blocks"],
                done.transactions + counts["transactions"],
                done.transfers + counts["transfers"],
                done.refused_events + counts["refused_events"],
                done.messages + counts["messages"],
            )
        return done
    finally:
        ledger_lock.end_correction()


def drop_fork(first: int) -> bool:
    """`drop_heights` for a synchronizer that must go on; False when something else is in the way, which is logged."""
    try:
        dropped = drop_heights(first, DROP_SECONDS)
    except ReparseImpossible as error:
        logger.warning("Heights are not dropped yet, tried again later from=%d reason=%s", first, error)
        return False
    logger.info("Heights are dropped from=%d blocks=%d transfers=%d", first, dropped.blocks, dropped.transfers)
    return True


def _begin(first: int) -> bool:
    """Say that nothing from `first` on can be trusted until all of it is gone; False when nothing is stored at all."""
    text = f"Heights from {first} on are being taken out; if nothing does so any more, begin it again to finish it."
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{LOCK_SECONDS}s"])
        cursor.execute(_BEGIN, {"first": first, "text": text})
    return Chain.objects.exists()


def _drop_batch(first: int) -> tuple[int, dict[str, int]]:
    """Drop the highest heights that are left; returns the lowest one of them, and how many rows went, by table."""
    with transaction.atomic(), connection.cursor() as cursor:
        ledger_lock.close(LOCK_SECONDS)
        # Whoever stores a window has this row last, so its heights are all seen here, or stored after the commit.
        chain = Chain.objects.select_for_update().get(id=1)
        cursor.execute(
            _LOWEST,
            {
                "first": first,
                "heights": BATCH_HEIGHTS,
                "transactions": BATCH_TRANSACTIONS,
                "transfers": BATCH_TRANSFERS,
            },
        )
        # No message that waits is left half inside a batch: it is dropped with all that it tells of.
        told_from, _ = backlog.span_of_pending(cursor.fetchone()[0], MAX_INT64)
        lowest = max(first, told_from)
        cursor.execute(_PENDING, [lowest])
        waiting = cursor.fetchall()
        if waiting and (below := min(told_from for _, told_from in waiting)) < first:
            span = Span(below, first - 1)
            unknown = _unknown(span)
            correct_heights(span, unknown, wiring.profile(chain.chain_id))
            apply_within(unknown, [number for number, _ in waiting], chain.chain_id)
        counts = {"transfers": Correction(lowest, MAX_INT64).make_so().removed}
        for name, statement in _DELETE.items():
            cursor.execute(statement, [lowest])
            counts[name] = cursor.rowcount
        cursor.execute(_CUT, {"lowest": lowest})
        cursor.execute(_UNCOVER, {"lowest": lowest})
        if lowest == first:
            cursor.execute(_END, [first])
    return lowest, counts


def _unknown(span: Span) -> Sequence[Span]:
    """Heights in `span` whose transactions are not stored, or not all."""
    missing = missing_spans(span.first, span.last, read_coverage()[0])
    parts = union(*([(each.first, each.last) for each in group] for group in (missing, holes(span.first, span.last))))
    return [Span(*part) for part in parts]
