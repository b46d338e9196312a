"""`manage.py audit [--deep] [--json]`: does the ledger add up? Exit 1 when it does not, with what breaks it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from balances.audit import SHOWN, Audit, audit
from blocks.models import Chain
from indexer_project.checks import require


class Command(BaseCommand):
    help = "Check that sum of balances = minted - burned = sum of transfers for every token; exit 1 when it is not so."
    requires_system_checks = []  # `require` looks at what this process needs, and at nothing else

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="every balance too: reads every transfer twice")
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, deep: bool, json: bool, **options: Any) -> None:
        require("database")
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
        if found.breaks:
            raise CommandError(f"The ledger does not add up: {len(found.breaks)} breaks.{_incomplete(found)}")


def _dump(found: Audit) -> str:
    shown = asdict(found)
    progress = shown.pop("progress")
    return json.dumps(shown | {"indexed_height": progress["indexed"], "shown_of_a_kind": SHOWN}, indent=1)


def _incomplete(found: Audit) -> str:
    """What explains negative balances and nothing else: a history that does not begin at genesis, or has holes."""
    started = Chain.objects.filter(start_height__gt=0).exists()
    if any(one.kind == "negative" for one in found.breaks) and (started or found.progress.accepted):
        return " Balances may be negative because heights are left out (START_HEIGHT, accepted gaps)."
    return ""
