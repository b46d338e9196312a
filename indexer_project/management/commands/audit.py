"""`manage.py audit [--deep] [--json]`: does the ledger add up? Exit 1 when it does not, with what breaks it."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from balances.indexed_height import IndexedHeight
from balances.reconciliation.audit import SHOWN, Audit, Break, audit
from blocks.models import Chain
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "Check that sum of balances = minted - burned = sum of transfers for every token; exit 1 when it is not so."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--deep", action="store_true", help="every balance too: reads every transfer twice")
        parser.add_argument(
            "--allow-negative",
            action="store_true",
            help="on a chain without a GRC20 library, where each realm stamps its own events, negative balances are no "
            "failure: a realm can lie about its own token. Those of tokens that are not standard never are one, and "
            "those of tokens that the library stamped always are",
        )
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, deep: bool, allow_negative: bool, json: bool, **options: Any) -> None:
        found = audit(deep=deep)
        if json:
            self.stdout.write(_dump(found))
        else:
            for one in found.breaks:
                self.stdout.write(_told(one))
            self.stdout.write(
                f"{found.tokens} tokens, {found.balances} balances, {found.transfers} transfers, indexed height "
                f"{found.indexed_height.height}{', every balance added up' if deep else ''}."
            )
        failures = [one for one in found.breaks if one.is_failure(realms_may_lie=allow_negative)]
        negative = [one for one in failures if one.kind == "negative"]
        if failures:
            why = _incomplete(found.indexed_height, negative) if negative else ""
            raise CommandError(
                f"The ledger does not add up: {len(failures)} breaks, {len(negative)} negative balances.{why}"
            )


def _told(one: Break) -> str:
    if one.kind == "chain":
        return f"{one.kind:10} {one.detail}"
    where = f"{one.token} {one.address}".rstrip()
    note = "" if one.standard else " (the token is not standard: its realm contradicts itself)"
    return f"{one.kind:10} {where}: {one.found}, expected {one.expected}{note}"


def _dump(found: Audit) -> str:
    shown = asdict(found)
    indexed_height = shown.pop("indexed_height")
    return json.dumps(shown | {"indexed_height": indexed_height["height"], "shown_of_a_kind": SHOWN}, indent=1)


def _incomplete(indexed_height: IndexedHeight, negative: list[Break]) -> str:
    """What may explain negative balances: a history that begins late or has holes, or a realm that lies."""
    left_out = Q(start_height__gt=0) | Q(first_height__gt=1, first_height_proven=False)
    if indexed_height.accepted or Chain.objects.filter(left_out).exists():
        return (
            " Balances may be negative because heights are left out (START_HEIGHT, accepted gaps, or a history of "
            "which no endpoint has the beginning)."
        )
    if all(one.by_realm for one in negative):
        return (
            " Nothing is left out, so these tokens' realms emit what their ledgers do not hold; on a chain without a "
            "GRC20 library that is no fault of this ledger (--allow-negative)."
        )
    return " Nothing is left out, and what the library stamped cannot be negative: see manage.py findgaps and reparse."
