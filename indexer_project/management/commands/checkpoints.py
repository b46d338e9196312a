"""`manage.py checkpoints [--forget-from HEIGHT]`: how far balances of the past are prepared, or have it done again."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from balances.history import checkpoints
from balances.indexed_height import read_indexed_height
from balances.models import CheckpointWalk
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "Say up to which height checkpoints are made, or have those from a height on made anew by the processors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget-from",
            type=int,
            metavar="HEIGHT",
            help="do not use them from this height on; answers stay right, and are slower until they are made anew",
        )

    def handle(self, *, forget_from: int | None, **options: Any) -> None:
        if forget_from is not None:
            if forget_from < 0:
                raise CommandError(f"{forget_from} is no height.")
            checkpoints.forget(forget_from)
        walk = CheckpointWalk.objects.first()
        self.stdout.write(
            f"Checkpoints are made up to height {-1 if walk is None else walk.height} of {read_indexed_height().height}"
            f"{', and some are being made anew' if walk is not None and walk.stale else ''}."
        )
