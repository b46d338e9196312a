"""Refused events: counted, and corrected to what the rules of today refuse."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count

from blocks.incomplete_blocks import contains
from blocks.spans import Span
from events.models import RefusedEvent
from events.parsing.grc20 import REASONS


def refused_by_reason() -> dict[str, int]:
    """How many events were refused for each reason of `REASONS`, zero too."""
    counted = RefusedEvent.objects.values_list("reason").annotate(Count("id")).order_by()
    return dict.fromkeys(REASONS, 0) | dict(counted)


@dataclass(frozen=True, slots=True)
class Corrected:
    """How many refused events were missing, were too many, or were refused otherwise."""

    added: int
    removed: int
    changed: int


def correct_refused(first: int, last: int, right: Sequence[RefusedEvent], excluded: Sequence[Span] = ()) -> Corrected:
    """Make `right`, not saved, the refused events of heights `first` to `last`, in the caller's transaction.

    `excluded`: ranges among them of which nothing is known; theirs stay as they are.
    """
    rows = RefusedEvent.objects.filter(block_height__range=(first, last))
    stored = {_place(row): row for row in rows if not contains(excluded, row.block_height)}
    added, changed = [], []
    for row in right:
        before = stored.pop(_place(row), None)
        if before is None:
            added.append(row)
        elif _words(before) != _words(row):
            row.pk = before.pk
            changed.append(row)
    RefusedEvent.objects.filter(pk__in=[row.pk for row in stored.values()]).delete()
    RefusedEvent.objects.bulk_update(changed, _WORDS, batch_size=500)
    RefusedEvent.objects.bulk_create(added, ignore_conflicts=True, batch_size=2000)
    return Corrected(len(added), len(stored), len(changed))


_WORDS = ["emitter", "type", "attributes", "reason", "detail"]


def _place(row: RefusedEvent) -> tuple[int, int, int]:
    return row.block_height, row.tx_index, row.event_index


def _words(row: RefusedEvent) -> list[object]:
    return [getattr(row, name) for name in _WORDS]
