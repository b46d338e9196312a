"""How the whole system is doing, in one look: for `/status`, `manage.py status` and the metrics.

What it costs is bounded, however much is missing or waits: lists are cut to their first `FEW`. Call it in one database
snapshot, and hand it that snapshot's progress.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models.functions import Now

from balances.progress import Progress
from blocks import gaps
from blocks.gaps import Gap
from blocks.models import AcceptedGap, Block, Chain, EndpointState
from events import pending
from events.pending import Backlog

FEW = 10


@dataclass(frozen=True, slots=True)
class Missing:
    """Heights that are not in: how many, in how many gaps, and the first few gaps."""

    gaps: int
    heights: int
    first: list[Gap]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the synchronizer last saw of an endpoint; `tip` is −1 and `trouble` says why while it is left alone."""

    url: str
    tip: int
    trouble: str
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """`lag`: heights the index is behind the tip. `lag_seconds`: the age of the newest block that is indexed, 0 at the
    tip, None while there is none. `now`: the database's clock."""

    progress: Progress
    stored_blocks: int
    lag: int
    lag_seconds: float | None
    tip_seen_at: datetime | None
    missing: Missing
    accepted: Missing
    endpoints: list[Endpoint]
    backlog: Backlog


def read_status(progress: Progress) -> Status:
    """Raises Django's database errors."""
    lag = max(0, progress.tip - progress.indexed)
    tip_seen_at = Chain.objects.values_list("tip_seen_at", flat=True).first()
    spans, stored = gaps.open_spans()
    return Status(
        progress=progress,
        stored_blocks=stored,
        lag=lag,
        lag_seconds=_age(progress.indexed) if lag else 0.0,
        tip_seen_at=tip_seen_at,
        missing=Missing(len(spans), sum(len(span) for span in spans), gaps.with_reasons(spans[:FEW])),
        accepted=Missing(AcceptedGap.objects.count(), progress.accepted, gaps.accepted_gaps(FEW)),
        endpoints=[Endpoint(*row) for row in EndpointState.objects.order_by("url").values_list(*_ENDPOINT)],
        backlog=pending.backlog(),
    )


_ENDPOINT = ("url", "tip", "trouble", "seen_at")


def _age(height: int) -> float | None:
    """Seconds since the chain made the block, by the database's clock."""
    found = Block.objects.filter(height=height).values_list("time", Now()).first()
    return None if found is None else max(0.0, (found[1] - found[0]).total_seconds())
