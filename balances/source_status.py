"""How far the source is: the endpoints, as the leading synchronizer last reported them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from blocks.models import Chain, EndpointState

STALE_SECONDS = 10.0
"""A synchronizer reports every two seconds; what it reported longer ago than this may not be so any more."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. `tip`: the highest height of which it showed the block, -1 until it has answered.

    `trouble`: why it is not in use, "" when all is well. `level`: it is in use, and has everything that is stored.
    `answered_at`: when it last said a tip and was level, None when it never was.
    """

    url: str
    tip: int
    trouble: str
    seen_at: datetime
    answered_at: datetime | None
    level: bool


@dataclass(frozen=True, slots=True)
class Source:
    """All endpoints, at `now`, by the database's clock."""

    endpoints: Sequence[Endpoint]
    now: datetime

    def tells_the_tip(self) -> bool:
        """Whether a level endpoint answered recently, so that the tip is that of the chain."""
        reported = self.now - timedelta(seconds=STALE_SECONDS)
        answered = self.now - timedelta(seconds=settings.READY_STALL_SECONDS)
        return any(
            each.level and each.seen_at > reported and each.answered_at is not None and each.answered_at > answered
            for each in self.endpoints
        )

    def seconds_since_level(self) -> float | None:
        """How long ago an endpoint that was level said how far the chain is; None when none ever did."""
        answers = [each.answered_at for each in self.endpoints if each.answered_at is not None]
        return (self.now - max(answers)).total_seconds() if answers else None


def read_source(chain: Chain, now: datetime) -> Source:
    """Raises Django's database errors."""
    highest = chain.coverage[-1][1] if chain.coverage else -1
    return Source(
        [
            Endpoint(url, tip, trouble, seen_at, answered_at, level=not trouble and tip >= highest)
            for url, tip, trouble, seen_at, answered_at in EndpointState.objects.order_by("url").values_list(
                "url", "tip", "trouble", "seen_at", "answered_at"
            )
        ],
        now,
    )
