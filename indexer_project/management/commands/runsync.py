"""`manage.py runsync`: the Block Synchronizer, with the doorbell, and the relay when the queue is SQS."""

import sys
import threading
from contextlib import nullcontext
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from blocks.source.subscription import Doorbell
from blocks.sync.progress_bar import ProgressReport
from blocks.sync.synchronizer import Synchronizer
from events.outbox import publishing
from events.queues.base import QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE
from indexer_project.fork_removal import drop_fork
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.shutdown import stop_on_signals
from indexer_project.thread_supervision import beside, end_with_any_thread

STOP_SECONDS = 3.0
"""The longest wait for the relay after a stop signal: the server that it speaks to may hang."""


class Command(IndexerCommand):
    help = "Follow the chain: store blocks and transactions, and send their token events to the queue."
    parts = (
        "database",
        "sync",
        "events",
        "queue",
        "metrics",
    )

    privileges, session, waits = WRITE, True, True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-tip", action="store_true", help="end when nothing is missing up to the tip")

    def handle(self, *, until_tip: bool, **options: Any) -> None:
        end_with_any_thread()
        wake = threading.Event()
        with stop_on_signals(wake.set) as stop:
            self._sync(stop, wake, until_tip=until_tip)

    def _sync(self, stop: threading.Event, wake: threading.Event, *, until_tip: bool) -> None:
        report = ProgressReport(sys.stderr)
        try:
            relay = wiring.relay(stop) if settings.QUEUE == "sqs" else None
            record = partial(wiring.record_events, limit=relay.queue.limit) if relay else wiring.record_events
            synchronizer = Synchronizer(
                wiring.sync_settings(), record, stop, wake=wake, on_progress=report.stored, drop=drop_fork
            )
        except QueueUnavailable as error:
            raise CommandError(str(error)) from None
        report.watch(synchronizer)
        try:
            serve_metrics(report.counters)
        except MetricsPortTaken as error:
            raise CommandError(str(error)) from None
        doorbell = Doorbell([endpoint.indexer.address for endpoint in synchronizer.endpoints.all], synchronizer.ring)
        doorbell.start()
        try:
            # After an ordinary end the relay publishes what is left.
            with (
                beside(relay.run, "relay", stop=stop, finish=relay.finish, patience=STOP_SECONDS)
                if relay
                else nullcontext()
            ):
                synchronizer.run(until_tip=until_tip)
        finally:
            doorbell.stop()
            report.close()
        if relay and not stop.is_set() and (left := publishing.unpublished()):
            raise CommandError(f"{left} messages are stored and not published: the log says why. Run runsync again.")
