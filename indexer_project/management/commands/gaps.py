"""`manage.py gaps list|accept|revoke`: heights that are missing, and those that a person accepts as missing."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks import gaps
from blocks.gap_advice import likely_cause
from blocks.models import AcceptedGap
from blocks.spans import Span
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "List heights that are missing, or accept that some never come."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("list", help="what is missing, and what was accepted")
        for name, text in (("accept", "heights no endpoint will ever complete"), ("revoke", "ask for them again")):
            action = actions.add_parser(name, help=text)
            action.add_argument("first", type=int)
            action.add_argument("last", type=int)
            if name == "accept":
                action.add_argument("--reason", required=True, help="kept, and shown in the status")

    def handle(self, *, action: str, **options: Any) -> None:
        if action == "list":
            self._list()
            return
        if not 0 <= options["first"] <= options["last"]:
            raise CommandError(f"{options['first']} to {options['last']} is no range of heights.")
        span = Span(options["first"], options["last"])
        if action == "accept":
            try:
                self.stdout.write(f"Accepted: {gaps.accept(span, options['reason'])}")
            except ValueError as error:
                raise CommandError(str(error)) from None
        elif not gaps.revoke(span):
            raise CommandError(f"No accepted gap is exactly {span.first} to {span.last}: see manage.py gaps list.")

    def _list(self) -> None:
        for gap in gaps.open_gaps():
            self.stdout.write(f"missing   {gap.span.first} to {gap.span.last}  {gap.reason}")
            if advice := likely_cause(gap.reason, gap.span.first):
                self.stdout.write(f"          {advice}")
        for accepted in AcceptedGap.objects.order_by("first_height"):
            self.stdout.write(f"accepted  {accepted}")
