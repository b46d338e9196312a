"""`manage.py dropfork [--from-height H] [--dry-run]`: take out stored heights that are not of the endpoints' chain."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks.source.client import Limits
from blocks.source.endpoints import open_endpoint
from blocks.sync.fork_search import Fork, ForkUnknown, find_fork
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE
from indexer_project.fork_removal import drop_heights
from indexer_project.reparse import ReparseImpossible


class Command(IndexerCommand):
    help = (
        "Find where what is stored leaves the chain that most endpoints serve, and take out everything from there on, "
        "balances included. A synchronizer, running or started later, reads these heights again."
    )
    parts = ("database", "sync", "events")
    privileges, session = WRITE, True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from-height", type=int, help="take out from this height on, without asking endpoints")
        parser.add_argument("--dry-run", action="store_true", help="only say from which height on")
        parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for locks (60)")

    def handle(self, *, from_height: int | None, dry_run: bool, patience: float, **options: Any) -> None:
        if from_height is None:
            fork = self._find()
        elif from_height < 0:
            raise CommandError(f"--from-height {from_height} is no height.")
        else:
            fork = Fork(from_height, "--from-height")
        if fork is None:
            self.stdout.write("All that is stored is of the chain that the endpoints serve.")
            return
        self.stdout.write(f"From height {fork.height} on: {fork.reason}.")
        if dry_run:
            return
        try:
            dropped = drop_heights(fork.height, patience)
        except ReparseImpossible as error:
            raise CommandError(f"{error} What was taken out is gone; run this again to finish.") from None
        self.stdout.write(
            f"Taken out: {dropped.blocks} blocks, {dropped.transactions} transactions, {dropped.transfers} transfers, "
            f"{dropped.refused_events} refused events, {dropped.messages} messages. The synchronizer reads them again."
        )

    def _find(self) -> Fork | None:
        sync = wiring.sync_settings()
        limits = Limits(sync.timeout, sync.max_answer_bytes, sync.connections)
        endpoints = [open_endpoint(address, limits) for address in sync.urls]
        try:
            return find_fork(endpoints)
        except ForkUnknown as error:
            raise CommandError(str(error)) from None
        finally:
            for endpoint in endpoints:
                endpoint.close()
