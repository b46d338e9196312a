"""`manage.py audit [--deep] [--json]`: does the ledger add up? Exit 1 when it does not, with what breaks it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from balances.audit import SHOWN, Audit, audit
from blocks.models import Chain
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "Check that sum of balances = minted - burned = sum of transfers for every token; exit 1 when it is not so."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="every balance too: reads every transfer twice")
        parser.add_argument(
            "--allow-negative",
            action="store_true",
            help="negative balances are told and are no failure: a realm can lie about its own token",
        )
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, deep: bool, allow_negative: bool, json: bool, **options: Any) -> None:
        found = audit(deep=deep)
        if json:
            self.stdout.write(_dump(found))
        else:
            for one in found.breaks:
                where = f"{one.token} {one.address}".rstrip()
                self.stdout.write(f"{one.kind:10} {where}: {one.found}, expected {one.expected}")
            self.stdout.write(
                f"{found.tokens} tokens, {found.balances} balances, {found.transfers} transfers, indexed height "
                f"{found.progress.indexed}{', every balance added up' if deep else ''}."
            )
        negative = sum(one.kind == "negative" for one in found.breaks)
        failures = len(found.breaks) - (negative if allow_negative else 0)
        if failures:
            why = _incomplete(found) if negative else ""
            raise CommandError(f"The ledger does not add up: {failures} breaks, {negative} negative balances.{why}")


def _dump(found: Audit) -> str:
    shown = asdict(found)
    progress = shown.pop("progress")
    return json.dumps(shown | {"indexed_height": progress["indexed"], "shown_of_a_kind": SHOWN}, indent=1)


def _incomplete(found: Audit) -> str:
    """What may explain negative balances: a history that begins late or has holes, or a realm that lies."""
    if found.progress.accepted or Chain.objects.filter(start_height__gt=0).exists():
        return " Balances may be negative because heights are left out (START_HEIGHT, accepted gaps)."
    return " Nothing is left out, so these tokens' realms emit what their ledgers do not hold (--allow-negative)."
