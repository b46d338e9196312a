"""`manage.py deadletters list|show|redrive|discard`: messages that could not be applied, and what becomes of them."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from blocks.models import Chain
from events.queues import dead_letters
from events.queues.base import QueueUnavailable
from events.queues.dead_letters import Letter
from indexer_project import wiring
from indexer_project.commands import IndexerCommand


class Command(IndexerCommand):
    help = "List messages that could not be applied, have them tried again, or record that one is not needed."
    parts = (
        "database",
        "queue",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        action = actions.add_parser("list", help="those that wait for a person")
        action.add_argument("--all", action="store_true", help="those that were dealt with too")
        action = actions.add_parser("show", help="one, with its body")
        action.add_argument("id", type=int)
        action = actions.add_parser("redrive", help="have one tried again, or all: after an upgrade")
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("id", type=int, nargs="?")
        which.add_argument("--all", action="store_true", help="all that wait, and all that SQS has as dead letters")
        action = actions.add_parser("discard", help="one that is not the copy of a message that is needed")
        action.add_argument("id", type=int)
        action.add_argument("--reason", required=True, help="kept beside the message")

    def handle(self, *, action: str, **options: Any) -> None:
        try:
            if action == "list":
                self._list(everything=options["all"])
            elif action == "show":
                self._show(dead_letters.letter(options["id"]))
            elif action == "redrive":
                self._redrive(options["id"])
            else:
                with wiring.open_dead_letter_queue() as queue:
                    dead_letters.discard(dead_letters.letter(options["id"]), options["reason"], queue)
                self.stdout.write(f"Dead letter {options['id']} is discarded.")
        except (dead_letters.Refused, QueueUnavailable) as trouble:
            raise CommandError(str(trouble)) from None

    def _list(self, *, everything: bool) -> None:
        try:
            with wiring.open_dead_letter_queue() as queue:
                self._record_unfinished(queue)
        except QueueUnavailable as trouble:
            self.stderr.write(f"Only what is recorded is listed. {trouble}")
        found = dead_letters.letters() if everything else dead_letters.letters("dead", "redriven")
        for one in found:
            received = f"{one.received_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(f"{one.id}  {one.state}  {_what(one)}  received {one.receives}, last {received}")
            self.stdout.write(f"    {one.reason}")
        self.stdout.write(f"{len(found)} dead letters.")

    def _show(self, one: Letter) -> None:
        shown = {
            "id": one.id,
            "state": f"{one.state}: {dead_letters.STATES[one.state]}",
            "message": _what(one),
            "queue's id": one.queue_message_id,
            "reason": one.reason,
            "received": f"{one.receives} times, last {one.received_at.isoformat()}",
        }
        if one.decision:
            shown["discarded"] = one.decision
        for name, value in shown.items():
            self.stdout.write(f"{name:10}  {value}")
        self.stdout.write(dead_letters.body(one))

    def _redrive(self, letter_id: int | None) -> None:
        with wiring.open_dead_letter_queue() as queue:
            if letter_id is not None:
                again = dead_letters.redrive([dead_letters.letter(letter_id)], queue)
                self.stdout.write(f"{again} messages are tried again." if again else "It is applied already.")
                return
            self._record_unfinished(queue)
            # Those that are applied have nothing left but their copies in the queue of dead letters; what went back to
            # the queue as it came is on its way.
            found = dead_letters.letters("dead", "redriven", "applied")
            again = dead_letters.redrive([o for o in found if o.state != "redriven" or o.outbox_id is not None], queue)
            self.stdout.write(f"{again} messages are tried again.")

    def _record_unfinished(self, queue: dead_letters.MainQueue | None) -> None:
        if queue is not None:
            chain_id = Chain.objects.values_list("chain_id", flat=True).first()
            dead_letters.record_unfinished(queue, chain_id or "")


def _what(one: Letter) -> str:
    if one.outbox_id is None:
        return "no copy of an outbox message"
    heights = "applied and pruned" if one.first_height is None else f"heights {one.first_height} to {one.last_height}"
    return f"outbox message {one.outbox_id} ({heights})"
