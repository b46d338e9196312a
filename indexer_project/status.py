"""How the whole system is doing, in one look: for `manage.py status` and for the metrics."""

from dataclasses import dataclass

from balances.progress import read_progress
from blocks import gaps
from blocks.models import AcceptedGap, Chain, EndpointState
from blocks.store import read_coverage
from events import outbox


@dataclass(frozen=True)
class Status:
    """Heights are inclusive, −1 where there is nothing; `lag` is how many heights the index is behind the tip."""

    chain_id: str | None
    tip: int
    stored_blocks: int
    contiguous: int
    indexed: int
    lag: int
    gaps: list[dict[str, int | str]]
    accepted_gaps: list[dict[str, int | str]]
    endpoints: list[dict[str, int | str]]
    outbox_pending: int
    outbox_set_aside: int
    outbox_unpublished: int


def read_status() -> Status:
    """Raises Django's database errors."""
    progress, depth = read_progress(), outbox.depth()
    covered = read_coverage()[0] if Chain.objects.exists() else []
    return Status(
        chain_id=progress.chain_id,
        tip=progress.tip,
        stored_blocks=sum(last - first + 1 for first, last in covered),
        contiguous=progress.contiguous,
        indexed=progress.indexed,
        lag=max(0, progress.tip - progress.indexed),
        gaps=[{"first": g.span.first, "last": g.span.last, "reason": g.reason} for g in gaps.open_gaps()],
        accepted_gaps=[
            {"first": each.first_height, "last": each.last_height, "reason": each.reason}
            for each in AcceptedGap.objects.order_by("first_height")
        ],
        endpoints=[
            {"url": each.url, "tip": each.tip, "trouble": each.trouble}
            for each in EndpointState.objects.order_by("url")
        ],
        outbox_pending=depth.pending,
        outbox_set_aside=depth.set_aside,
        outbox_unpublished=outbox.unpublished(),
    )
