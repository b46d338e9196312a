"""`manage.py findgaps [--repair]`: look through what is stored for heights that are not whole."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks import gaps
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "Find heights that count as complete and are not, by counts and hash links; exit 1 when there are any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--repair", action="store_true", help="let the synchronizer, running or started later, read them again"
        )

    def handle(self, *, repair: bool, **options: Any) -> None:
        try:
            faults = list(gaps.find_faults())
        except gaps.NoChain as none:
            raise CommandError(str(none)) from None
        for fault in faults:
            self.stdout.write(f"height {fault.height}: {fault.reason}")
        if not faults:
            self.stdout.write("Everything that counts as complete is complete.")
        elif repair:
            gaps.uncover([fault.height for fault in faults])
            self.stdout.write(f"{len(faults)} heights are read again by the synchronizer.")
        else:
            raise CommandError(f"{len(faults)} heights are not whole; --repair has them read again.")
