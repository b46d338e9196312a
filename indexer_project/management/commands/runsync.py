"""`manage.py runsync`: the Block Synchronizer, with the doorbell, and the relay when the queue is SQS."""

import sys
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from blocks.doorbell import Doorbell
from blocks.progress import ProgressReport
from blocks.synchronizer import Synchronizer
from events.relay import Relay
from indexer_project import wiring
from indexer_project.checks import require
from indexer_project.metrics import serve_metrics
from indexer_project.stopping import stop_on_signals


class Command(BaseCommand):
    help = "Follow the chain: store blocks and transactions, and send their token events to the queue."
    requires_system_checks = []  # `require` looks at what this process needs, and at nothing else

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--until-tip", action="store_true", help="end when nothing is missing up to the tip")

    def handle(self, *, until_tip: bool, **options: Any) -> None:
        require("database", "sync", "events", "queue", "metrics")
        wake = threading.Event()
        stop = stop_on_signals(wake.set)
        report = ProgressReport(sys.stderr)
        synchronizer = Synchronizer(
            wiring.sync_settings(), wiring.record_events, stop, wake=wake, on_progress=report.stored
        )
        report.watch(synchronizer)
        serve_metrics(report.counters)
        doorbell = Doorbell(settings.TX_INDEXER_URLS, synchronizer.ring)
        doorbell.start()
        relay_stop = threading.Event()
        relay = threading.Thread(target=self._relay, args=[relay_stop], name="relay")
        if settings.QUEUE == "sqs":
            relay.start()
        try:
            synchronizer.run(until_tip=until_tip)
        finally:
            relay_stop.set()
            if relay.is_alive():
                relay.join()
            doorbell.stop()
            report.close()

    def _relay(self, stop: threading.Event) -> None:
        Relay(wiring.sqs_queue(), settings.OUTBOX_REPUBLISH_SECONDS, settings.OUTBOX_KEEP_HOURS, stop).run()
