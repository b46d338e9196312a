"""`manage.py runsync`: the Block Synchronizer, with the doorbell, and the relay when the queue is SQS."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from blocks.doorbell import Doorbell
from blocks.progress import ProgressReport
from blocks.synchronizer import Synchronizer
from events.relay import Relay
from events.sqs import QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.database_checks import WRITE
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.stopping import stop_on_signals


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
        wake = threading.Event()
        stop = stop_on_signals(wake.set)
        report = ProgressReport(sys.stderr)
        try:
            relay = wiring.relay(stop) if settings.QUEUE == "sqs" else None
            synchronizer = Synchronizer(
                wiring.sync_settings(), wiring.record_events, stop, wake=wake, on_progress=report.stored
            )
        except QueueUnavailable as error:
            raise CommandError(str(error)) from None
        report.watch(synchronizer)
        try:
            serve_metrics(report.counters)
        except MetricsPortTaken as error:
            raise CommandError(str(error)) from None
        doorbell = Doorbell([endpoint.url for endpoint in synchronizer.endpoints.all], synchronizer.ring)
        doorbell.start()
        try:
            with _running(relay, stop):
                synchronizer.run(until_tip=until_tip)
        finally:
            doorbell.stop()
            report.close()


@contextmanager
def _running(relay: Relay | None, stop: threading.Event) -> Iterator[None]:
    """The relay in a thread beside the block; after an ordinary end of the block it publishes what is left."""
    if relay is None:
        yield
        return
    thread = threading.Thread(target=relay.run, name="relay")
    thread.start()
    try:
        yield
        relay.finish()
    except BaseException:
        stop.set()
        raise
    finally:
        thread.join()
