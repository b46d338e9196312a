"""One answer, one snapshot: everything a response says is read in a single read-only database transaction."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from operator import attrgetter

from django.conf import settings

from balances.indexed_height import IndexedHeight, read_indexed_height
from postgres.snapshot import one_snapshot

_STATE = attrgetter(*(field.name for field in fields(IndexedHeight)))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How far the rows of a snapshot are true, and a version: two snapshots of one version hold the same rows."""

    indexed_height: IndexedHeight
    version: str


@contextmanager
def snapshot() -> Iterator[Snapshot]:
    """Read in the block what belongs to one answer; nothing that commits meanwhile is seen."""
    with one_snapshot():
        yield look()


def look() -> Snapshot:
    """How far the rows are true at this moment, which no other statement shares: for a 304, which needs none."""
    return seen(read_indexed_height())


def seen(indexed_height: IndexedHeight) -> Snapshot:
    """The snapshot that `indexed_height` was read in."""
    # A new release may say the same rows in another way.
    parts = (settings.SPECTACULAR_SETTINGS["VERSION"], *_STATE(indexed_height))
    return Snapshot(indexed_height, hashlib.sha256(repr(parts).encode()).hexdigest()[:32])
