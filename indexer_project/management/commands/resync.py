"""`manage.py resync --from-height A --to-height B`: read stored heights again and report what differed."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks.models import Chain
from blocks.source.client import EndpointUnavailable, Limits
from blocks.source.endpoints import open_endpoint
from blocks.spans import Span
from blocks.sync.resync import resync
from blocks.sync.window_checks import WrongChain
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE


class Command(IndexerCommand):
    help = "Read stored heights again from the source, store what differs, and report it."
    parts = (
        "database",
        "sync",
        "events",
    )

    privileges = WRITE

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from-height", type=int, required=True)
        parser.add_argument("--to-height", type=int, required=True)

    def handle(self, *, from_height: int, to_height: int, **options: Any) -> None:
        if not 0 <= from_height <= to_height:
            raise CommandError(f"{from_height} to {to_height} is no range of heights.")
        if not Chain.objects.exists():
            raise CommandError("Nothing is stored yet: run manage.py runsync first.")
        sync = wiring.sync_settings()
        limits = Limits(sync.timeout, sync.max_answer_bytes, sync.connections)
        differences = 0
        try:
            for difference in resync(
                [open_endpoint(address, limits) for address in sync.urls],
                Span(from_height, to_height),
                wiring.record_events,
                window_blocks=sync.window_blocks,
                window_transactions=sync.window_transactions,
            ):
                differences += 1
                where = "" if difference.index is None else f" transaction {difference.index}"
                self.stdout.write(f"height {difference.height}{where}: {difference.what}")
        except (EndpointUnavailable, WrongChain) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{differences} differences between heights {from_height} and {to_height}.")
