"""One answer, one snapshot: everything a response says is read in a single read-only database transaction."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from balances.progress import Progress, read_progress

# One row, whatever the size of the tables: each part is a single row or the end of an index. What was last applied is
# asked of the outbox because the same heights may be applied again, after a repair.
_VERSION = """
SELECT first_block_hash, start_height, lower(coverage), pg_current_snapshot()::text,
       (SELECT max(applied_at) FROM outbox), (SELECT max(id) FROM outbox)
FROM (VALUES (1)) AS always LEFT JOIN chain ON true
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far the rows of a snapshot are true, and a version: two snapshots of one version hold the same rows."""

    progress: Progress
    version: str


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Read in the block what belongs to one answer; nothing that commits meanwhile is seen.

    Inside a transaction that is open already, that one's snapshot is read.
    """
    if connection.in_atomic_block:
        yield _read()
        return
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield _read()


def _read() -> Snapshot:
    progress = read_progress()
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        first_block_hash, start_height, first_height, now, applied_at, outbox_id = cursor.fetchone()
    parts = [
        settings.SPECTACULAR_SETTINGS["VERSION"],
        progress.chain_id,
        first_block_hash,
        start_height,
        first_height,
        progress.indexed,
        progress.up_to,
        applied_at,
        outbox_id,
    ]
    if progress.indexed != progress.up_to or applied_at is None:
        # While heights are missing or wait to be applied, rows change and the heights need not. Without the outbox's
        # word (it is pruned) a repair could not be told either. Then any commit at all makes a new version.
        parts.append(now)
    return Snapshot(progress, hashlib.sha256(repr(parts).encode()).hexdigest()[:32])
