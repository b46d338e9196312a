"""`manage.py runstream`: the stream of events, in a process of its own."""

import asyncio
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from balances.stream import reading
from balances.stream.app import Stream
from balances.stream.hub import Hub
from balances.stream.server import AddressTaken, open_socket, serve
from indexer_project.commands import IndexerCommand
from indexer_project.databases import serve_from
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.stopping import stop_on_signals


class Command(IndexerCommand):
    help = "Serve /events/stream: transfers as they are applied, to any number of listeners."
    parts = (
        "database",
        "stream",
        "metrics",
    )

    session = waits = True

    def handle(self, **options: Any) -> None:
        serve_from(settings.DATABASES["default"], None, timeout=settings.STATEMENT_TIMEOUT_SECONDS, pool_size=0)
        hub = Hub(reading.look())
        stream = Stream(hub, most=settings.STREAM_MAX_LISTENERS, origins=frozenset(settings.CORS_ORIGINS))
        try:
            serve_metrics(lambda: {"streams_opened": stream.opened})
            opened = open_socket(settings.STREAM_HOST, settings.STREAM_PORT)
        except MetricsPortTaken as error:
            raise CommandError(str(error)) from None
        except AddressTaken as error:
            raise CommandError(f"STREAM_HOST and STREAM_PORT cannot be listened at: {error}") from None
        self.stdout.write(f"The stream is at {settings.STREAM_HOST}:{settings.STREAM_PORT}.")

        async def run() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            stop_on_signals(lambda: loop.call_soon_threadsafe(stop.set))
            await serve(stream, opened, stop)

        asyncio.run(run())
