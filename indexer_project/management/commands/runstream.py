"""`manage.py runstream`: the stream of events, in a process of its own."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from balances.stream.app import Stream
from balances.stream.follower import first_look
from balances.stream.hub import Hub
from balances.stream.server import AddressTaken, open_socket, serve
from indexer_project.commands import IndexerCommand
from indexer_project.databases import serve_from
from indexer_project.metrics import MetricsPortTaken, serve_metrics
from indexer_project.shutdown import stop_on_signals
from indexer_project.thread_supervision import end_with_any_thread


class Command(IndexerCommand):
    help = "Serve /events/stream: transfers as they are applied, to any number of listeners."
    parts = (
        "database",
        "stream",
        "metrics",
    )

    session = waits = True

    def handle(self, **options: Any) -> None:
        end_with_any_thread()
        serve_from(settings.DATABASES["default"], None, timeout=settings.STATEMENT_TIMEOUT_SECONDS, pool_size=0)
        self._stream: Stream | None = None
        try:
            serve_metrics(lambda: {"streams_opened": self._stream.opened if self._stream else 0})
        except MetricsPortTaken as error:
            raise CommandError(str(error)) from None
        with stop_on_signals() as stop:
            indexed_height = first_look(stop)
        if indexed_height is None:
            return
        self._stream = Stream(
            Hub(indexed_height), most=settings.STREAM_MAX_LISTENERS, origins=frozenset(settings.CORS_ORIGINS)
        )
        try:
            opened = open_socket(settings.STREAM_HOST, settings.STREAM_PORT)
        except AddressTaken as error:
            raise CommandError(f"STREAM_HOST and STREAM_PORT cannot be listened at: {error}") from None
        self.stdout.write(f"The stream is at {settings.STREAM_HOST}:{settings.STREAM_PORT}.")
        asyncio.run(_serve(self._stream, opened))


async def _serve(stream: Stream, opened: socket.socket) -> None:
    ending, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(ending.set)

    with stop_on_signals(end):
        await serve(stream, opened, ending)
