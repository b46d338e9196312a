"""`manage.py processevents`: an Event Processor, with a walker; start as many as you like."""

import threading
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from balances.checkpoint_worker import Walker
from balances.indexed_height import read_indexed_height
from balances.processor import Processor
from events.outbox import store
from events.queues.base import Queue, QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.shutdown import stop_on_signals
from indexer_project.thread_supervision import beside, end_with_any_thread


class Command(IndexerCommand):
    help = "Take messages from the queue and apply their transfers to the balances."
    parts = (
        "database",
        "queue",
        "metrics",
    )

    privileges, session, waits = WRITE, True, True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--until-applied", action="store_true", help="end when no message is left, exit 1 if some were set aside"
        )

    def handle(self, *, until_applied: bool, **options: Any) -> None:
        try:
            queue = wiring.queue()
        except QueueUnavailable as error:
            raise CommandError(str(error)) from None
        end_with_any_thread()
        ended = threading.Event()
        with stop_on_signals(ended.set) as stop:
            self._process(queue, stop, ended, until_applied=until_applied)

    def _process(self, queue: Queue, stop: threading.Event, ended: threading.Event, *, until_applied: bool) -> None:
        processor = Processor(
            queue,
            lambda: read_indexed_height().chain_id,
            stop,
            wait_seconds=settings.QUEUE_WAIT_SECONDS,
            keep_hours=settings.OUTBOX_KEEP_HOURS,
        )
        try:
            serve_metrics(lambda: {"messages_applied": processor.messages, "transfers_applied": processor.transfers})
        except MetricsPortTaken as error:
            raise CommandError(str(error)) from None
        try:
            with beside(Walker(ended).run, "walker", stop=ended):
                processor.run(until_applied=until_applied)
        finally:
            queue.close()
        if until_applied:
            Walker(stop).finish()
        self.stdout.write(f"Applied {processor.transfers} transfers in {processor.messages} messages.")
        if until_applied and (left := store.depth().set_aside):
            raise CommandError(f"{left} messages are set aside: see manage.py deadletters list.")
