"""`manage.py status [--json]`: how far everything is."""

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from events.sqs import QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.status import read_status


class Command(IndexerCommand):
    help = "Show what is stored, applied, missing and waiting."
    parts = (
        "database",
        "queue",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, json: bool, **options: Any) -> None:
        shown: dict[str, Any] = asdict(read_status()) | {"queue": settings.QUEUE, "queue_depth": self._queue_depth()}
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


def _dump(shown: dict[str, Any]) -> str:
    return json.dumps(shown, indent=1)
