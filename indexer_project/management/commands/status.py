"""`manage.py status [--json]`: how far everything is."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from balances.api.snapshots import snapshot
from balances.status import Missing, read_status
from events.sqs import QueueUnavailable
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
            if not isinstance(value, list):
                self.stdout.write(f"{label:20} {'—' if value is None else value}")
                continue
            self.stdout.write(f"{label:20} {len(value)}")
            for each in value:
                self.stdout.write("  " + "  ".join(str(part) for part in each.values()))

    def _queue_depth(self) -> int | None:
        """Messages in SQS; None where there is no such queue, or it cannot be asked."""
        if settings.QUEUE != "sqs":
            return None
        try:
            return wiring.sqs_queue().depth()
        except QueueUnavailable as error:
            self.stderr.write(str(error))
            return None


def _shown() -> dict[str, Any]:
    with snapshot() as seen:
        status = read_status(seen.progress)
    return {
        "chain_id": seen.progress.chain_id,
        "tip": seen.progress.tip,
        "stored_blocks": status.stored_blocks,
        "contiguous": seen.progress.contiguous,
        "indexed": seen.progress.indexed,
        "lag": status.lag,
        "gap_heights": status.missing.heights,
        "accepted_heights": status.accepted.heights,
        "gaps": _first(status.missing),
        "accepted_gaps": _first(status.accepted),
        "endpoints": [{"url": each.url, "tip": each.tip, "trouble": each.trouble} for each in status.endpoints],
        "outbox_pending": status.backlog.pending,
        "outbox_set_aside": status.backlog.set_aside,
        "outbox_unpublished": status.backlog.unpublished,
    }


def _first(missing: Missing) -> list[dict[str, Any]]:
    """The first few: `manage.py gaps list` has all."""
    return [{"first": gap.span.first, "last": gap.span.last, "reason": gap.reason} for gap in missing.first]


def _dump(shown: dict[str, Any]) -> str:
    return json.dumps(shown, indent=1)
