"""`manage.py runsync`: the Block Synchronizer, with the doorbell, and the relay when the queue is SQS."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from blocks.doorbell import Doorbell
from blocks.progress import ProgressReport
from blocks.synchronizer import Synchronizer
from events import publishing
from events.relay import Relay
from events.sqs import QueueUnavailable
from indexer_project import wiring
from indexer_project.commands import IndexerCommand
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.stopping import stop_on_signals

logger = logging.getLogger(__name__)

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

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-tip", action="store_true", help="end when nothing is missing up to the tip")

    def handle(self, *, until_tip: bool, **options: Any) -> None:
        wake = threading.Event()
        stop = stop_on_signals(wake.set)
        report = ProgressReport(sys.stderr)
        try:
            relay = wiring.relay(stop) if settings.QUEUE == "sqs" else None
            record = partial(wiring.record_events, limit=relay.queue.limit) if relay else wiring.record_events
            synchronizer = Synchronizer(wiring.sync_settings(), record, stop, wake=wake, on_progress=report.stored)
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
        if relay and not stop.is_set() and (left := publishing.unpublished()):
            raise CommandError(f"{left} messages are stored and not published: the log says why. Run runsync again.")


@contextmanager
def _running(relay: Relay | None, stop: threading.Event) -> Iterator[None]:
    """The relay in a thread beside the block; after an ordinary end of the block it publishes what is left."""
    if relay is None:
        yield
        return
    thread = threading.Thread(target=relay.run, name="relay", daemon=True)
    thread.start()
    try:
        yield
        relay.finish()
    except BaseException:
        stop.set()
        raise
    finally:
        while thread.is_alive() and not stop.is_set():
            thread.join(0.2)
        thread.join(STOP_SECONDS)
        if thread.is_alive():
            # Nothing is lost by it: what it has in hand is published again when its lease is over.
            logger.warning("Relay left behind: SQS does not answer")
