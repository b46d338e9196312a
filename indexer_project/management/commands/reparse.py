"""`manage.py reparse [--from-height A --to-height B] [--dry-run]`: stored events read again by the rules of today."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks.spans import Span
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE
from indexer_project.reparse import Batch, ReparseImpossible, reparse, settle_sums

NO_END = 2**62


class Command(IndexerCommand):
    help = "Derive token events again from stored transactions, and correct transfers and balances to match."
    parts = ("database", "events")
    privileges, session = WRITE, True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from-height", type=int, default=0)
        parser.add_argument("--to-height", type=int, default=NO_END)
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")
        parser.add_argument("--patience", type=float, default=60.0, help="seconds to wait for locks (60)")

    def handle(self, *, from_height: int, to_height: int, dry_run: bool, patience: float, **options: Any) -> None:
        if not 0 <= from_height <= to_height:
            raise CommandError(f"{from_height} to {to_height} is no range of heights.")
        tokens: set[int] = set()
        batches = changed = missing = 0
        try:
            for batch in reparse(Span(from_height, to_height), wiring.profile, dry_run=dry_run, patience=patience):
                batches += 1
                if batch.changes():
                    changed += 1
                    tokens |= batch.ledger.tokens
                    self.stdout.write(_told(batch))
                for hole in batch.holes:
                    missing += len(hole)
                    self.stdout.write(
                        f"heights {hole.first} to {hole.last}: their block or transactions are not stored any more; "
                        "what was applied of them stays as it is"
                    )
            # A range says nothing of what was applied outside it, so there only what it touched is added up.
            everything = (from_height, to_height) == (0, NO_END)
            if not dry_run and (everything or tokens):
                balances, totals = settle_sums(None if everything else frozenset(tokens), patience)
                if balances or totals:
                    self.stdout.write(f"sums: {balances} balances and the totals of {totals} tokens were wrong.")
        except ReparseImpossible as error:
            raise CommandError(str(error)) from None
        verb = "would change" if dry_run else "changed"
        again = "would be" if dry_run else "are"
        holes = (
            f" {missing} heights whose rows are gone {again} missing from now on: a synchronizer, running or started "
            "later, reads them again; run reparse over them once it has."
        )
        self.stdout.write(f"{changed} of {batches} batches of heights {verb}.{holes if missing else ''}")


def _told(batch: Batch) -> str:
    ledger, events = batch.ledger, batch.refused
    parts = [
        f"transfers +{ledger.added} -{ledger.removed} ~{ledger.changed}",
        f"refused events +{events.added} -{events.removed} ~{events.changed}",
        f"announcements {ledger.announcements}",
    ]
    if ledger.standards:
        parts.append(f"tokens that are standard or no longer so {ledger.standards}")
    if batch.settled:
        parts.append(f"waiting messages settled {batch.settled}")
    return f"heights {batch.span.first} to {batch.span.last}: {', '.join(parts)}"
