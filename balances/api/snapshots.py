"""One answer, one snapshot: everything a response says is read in a single read-only database transaction."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass

from django.conf import settings
from django.db import connection, transaction

from balances.progress import Progress, read_progress


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
    # A new release may say the same rows in another way.
    parts = (settings.SPECTACULAR_SETTINGS["VERSION"], *astuple(progress))
    return Snapshot(progress, hashlib.sha256(repr(parts).encode()).hexdigest()[:32])
