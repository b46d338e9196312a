"""Counting refused events."""

from django.db.models import Count

from events.grc20 import REASONS
from events.models import RefusedEvent


def refused_by_reason() -> dict[str, int]:
    """How many events were refused for each reason of `REASONS`, zero too."""
    counted = RefusedEvent.objects.values_list("reason").annotate(Count("id")).order_by()
    return dict.fromkeys(REASONS, 0) | dict(counted)
