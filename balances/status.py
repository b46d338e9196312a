"""How the whole system is doing, in one look: for `/status`, `manage.py status` and the metrics.

What it costs is bounded, however much is missing or waits: lists are cut to their first `FEW`. Call it in one database
snapshot, and hand it that snapshot's progress.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models.functions import Now

from balances.indexed_height import IndexedHeight
from balances.source_status import STALE_SECONDS, Endpoint, read_source
from blocks import gaps
from blocks.gaps import Gap
from blocks.models import AcceptedGap, Block, Chain, SynchronizerState
from events.outbox import backlog
from events.outbox.backlog import Backlog

FEW = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """Heights that are not in: how many, in how many gaps, and the first few gaps."""

    gaps: int
    heights: int
    first: list[Gap]


@dataclass(frozen=True, slots=True)
class Synchronizer:
    """A synchronizer: the one that writes (`leads`), or one that stands by. `silent`: it seems to have ended."""

    name: str
    leads: bool
    since: datetime
    seen_at: datetime
    silent: bool


@dataclass(frozen=True, slots=True)
class NewestBlock:
    """The highest block that is stored. `age_seconds`: since the chain made it."""

    height: int
    time: datetime
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """`tip`: the highest height that the chain is known to have, never below what is indexed.

    `lag`: heights the index is behind the tip; None while no level endpoint says how far the chain is, so that nothing
    is known. `lag_seconds`: the age of the newest block that is indexed, 0 at the tip, None while that is unknown.
    `first_height_proven`: the chain's first block has no predecessor; otherwise no endpoint has what is below.
    """

    indexed_height: IndexedHeight
    tip: int
    first_height_proven: bool
    stored_blocks: int
    lag: int | None
    lag_seconds: float | None
    tip_seen_at: datetime | None
    newest: NewestBlock | None
    missing: Missing
    accepted: Missing
    endpoints: Sequence[Endpoint]
    synchronizers: list[Synchronizer]
    backlog: Backlog

    @property
    def first_height_note(self) -> str:
        """What the first height means, in words."""
        first = self.indexed_height.first_height
        if first is None:
            return "The chain's first height is not known yet."
        if self.first_height_proven:
            return f"The chain begins at height {first}: that block has no predecessor."
        return f"No endpoint has anything below height {first}: that part of the history is not available or counted."


def read_status(indexed_height: IndexedHeight) -> Status:
    """Raises Django's database errors."""
    chain = Chain.objects.annotate(now=Now()).filter(id=1).first()
    source = None if chain is None else read_source(chain, chain.now)
    tip = max(indexed_height.tip, indexed_height.height)
    lag = tip - indexed_height.height if source is not None and source.tells_the_tip() else None
    spans, stored = gaps.open_spans()
    return Status(
        indexed_height=indexed_height,
        tip=tip,
        first_height_proven=chain is not None and chain.first_height_proven,
        stored_blocks=stored,
        lag=lag,
        lag_seconds=_age(indexed_height.height) if lag else lag,
        tip_seen_at=None if chain is None else chain.tip_seen_at,
        newest=_newest(),
        missing=Missing(len(spans), sum(len(span) for span in spans), gaps.with_reasons(spans[:FEW])),
        accepted=Missing(AcceptedGap.objects.count(), indexed_height.accepted, gaps.accepted_gaps(FEW)),
        endpoints=[] if source is None else source.endpoints,
        synchronizers=_synchronizers(),
        backlog=backlog.backlog(),
    )


def _newest() -> NewestBlock | None:
    found = Block.objects.order_by("-height").values_list("height", "time", Now()).first()
    return None if found is None else NewestBlock(found[0], found[1], _seconds(found[1], found[2]))


def _synchronizers() -> list[Synchronizer]:
    """The one that leads first, then those that reported last."""
    rows = SynchronizerState.objects.order_by("-leads", "-seen_at", "name")
    return [
        Synchronizer(name, leads, since, seen_at, _seconds(seen_at, now) > STALE_SECONDS)
        for name, leads, since, seen_at, now in rows.values_list("name", "leads", "since", "seen_at", Now())[:FEW]
    ]


def _age(height: int) -> float | None:
    """Seconds since the chain made the block, by the database's clock."""
    found = Block.objects.filter(height=height).values_list("time", Now()).first()
    return None if found is None else _seconds(*found)


def _seconds(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())
