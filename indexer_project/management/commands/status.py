"""`manage.py status [--json]`: how far everything is."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from balances.readiness import with_way_out
from balances.snapshot import snapshot
from balances.status import Missing, read_status
from blocks.gap_advice import likely_cause
from events.queues.base import QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "Show what is stored, applied, missing and waiting."
    parts = (
        "database",
        "queue",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, json: bool, **options: Any) -> None:
        shown = _shown() | {"queue": settings.QUEUE, "queue_depth": self._queue_depth()}
        if json:
            self.stdout.write(_dump(shown))
            return
        for name, value in shown.items():
            label = name.replace("_", " ")
            if isinstance(value, list):
                self.stdout.write(f"{label:20} {len(value)}")
                for each in value:
                    self.stdout.write("  " + "  ".join(_part(*part) for part in each.items() if part[1] != ""))
            elif isinstance(value, dict):
                self.stdout.write(f"{label:20} {'  '.join(_part(*part) for part in value.items())}")
            else:
                self.stdout.write(f"{label:20} {_text(value, 'unknown' if name.startswith('lag') else '—')}")

    def _queue_depth(self) -> int | None:
        """Messages in SQS; None where there is no such queue, or it cannot be asked."""
        if settings.QUEUE != "sqs":
            return None
        try:
            return wiring.sqs_queue().depth()
        except QueueUnavailable as error:
            self.stderr.write(str(error))
            return None


def _text(value: Any, none: str = "—") -> str:
    if isinstance(value, float):
        return f"{value:.0f} s"
    return none if value is None else str(value)


def _part(name: str, value: Any) -> str:
    """One value of several in a line, which has no room for its name unless it says nothing without."""
    return (name if value else f"not {name}") if isinstance(value, bool) else _text(value)


def _shown() -> dict[str, Any]:
    with snapshot() as seen:
        status = read_status(seen.indexed_height)
    newest = status.newest
    return {
        "chain_id": seen.indexed_height.chain_id,
        "conflict": with_way_out(seen.indexed_height.conflict) if seen.indexed_height.conflict else None,
        "first_height": seen.indexed_height.first_height,
        "first_height_proven": status.first_height_proven,
        "first_height_note": status.first_height_note,
        "tip": status.tip,
        "stored_blocks": status.stored_blocks,
        "contiguous": seen.indexed_height.contiguous,
        "indexed": seen.indexed_height.height,
        "lag": status.lag,
        "lag_seconds": status.lag_seconds,
        "newest_block": newest
        and {
            "height": newest.height,
            "time": newest.time.isoformat(),
            "age_seconds": newest.age_seconds,
        },
        "gap_heights": status.missing.heights,
        "accepted_heights": status.accepted.heights,
        "gaps": _first(status.missing),
        "accepted_gaps": _first(status.accepted),
        "endpoints": [
            {
                "url": each.url,
                "tip": each.tip,
                "level": each.level,
                "trouble": each.trouble,
                "answered_at": each.answered_at and each.answered_at.isoformat(),
                "seen_at": each.seen_at.isoformat(),
            }
            for each in status.endpoints
        ],
        "synchronizers": [
            {
                "name": each.name,
                "role": "silent" if each.silent else "leads" if each.leads else "stands by",
                "since": each.since.isoformat(),
                "seen_at": each.seen_at.isoformat(),
            }
            for each in status.synchronizers
        ],
        "outbox_pending": status.backlog.pending,
        "outbox_set_aside": status.backlog.set_aside,
        "outbox_unpublished": status.backlog.unpublished,
    }


def _first(missing: Missing) -> list[dict[str, Any]]:
    """The first few: `manage.py gaps list` has all."""
    return [
        {
            "first": gap.span.first,
            "last": gap.span.last,
            "reason": gap.reason,
            "advice": likely_cause(gap.reason, gap.span.first),
        }
        for gap in missing.first
    ]


def _dump(shown: dict[str, Any]) -> str:
    return json.dumps(shown, indent=1)
