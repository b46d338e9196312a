"""A source on a port of its own: the application in uvicorn, in a thread, for tests and for the command line."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from replay.app import PATH, build_app
from replay.chain import Address
from replay.faults import Faults
from replay.recording import Recording, load_recording
from replay.schema import build_schema
from replay.site import ServedQuery, Site

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_CLOSING_ROUNDS = 10
_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 0.25


class ReplaySource:
    """A tx-indexer's stand-in over a recording, as a context manager.

    Inside ``with`` it answers at :attr:`url` and :attr:`websocket_url`. ``recording`` is one, or the path of a folder.
    ``start`` is what is there at first: None everything, an int that many blocks, a float below 1 that share of them;
    ``blocks_per_second`` more appear by themselves. ``cap`` is the number of rows at which a root field errs.
    ``port`` 0 takes a free one, and keeps it when the same object is entered again.

    Raises :class:`replay.recording.RecordingError`, ValueError for settings that make no sense, and OSError when the
    port is taken.
    """

    def __init__(
        self,
        recording: Recording | Path | str,
        *,
        start: float | None = None,
        blocks_per_second: float = 0.0,
        cap: int = 10_000,
        faults: Faults | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if cap < 1:
            raise ValueError(f"cap is a number of rows, 1 or more; found {cap!r}")
        if blocks_per_second < 0:
            raise ValueError(f"blocks_per_second is 0 or more; found {blocks_per_second!r}")
        if not isinstance(recording, Recording):
            recording = load_recording(recording)
        faults = Faults() if faults is None else faults
        build_schema(frozenset(faults.fields_removed))
        self._site = Site(Address(recording, faults, start), cap)
        self._blocks_per_second = blocks_per_second
        self._host = host
        self.port = port
        self._thread: threading.Thread | None = None
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        """Where to send queries."""
        return f"http://{self._host}:{self.port}{PATH}"

    @property
    def websocket_url(self) -> str:
        """Where to open websockets."""
        return f"ws://{self._host}:{self.port}{PATH}"

    @property
    def tip(self) -> int | None:
        """``latestBlockHeight`` as it is answered now; None for an empty chain."""
        return self._site.address.chain.tip

    @property
    def faults(self) -> Faults:
        """The faults; change its fields while the source runs."""
        return self._site.faults

    @property
    def requests(self) -> list[ServedQuery]:
        """Every GraphQL request over HTTP so far, oldest first."""
        return self._site.requests

    @property
    def subscriptions(self) -> int:
        """How many subscriptions listen now. The wire acknowledges none, so tests look here before they advance."""
        return len(self._site.subscribers)

    def advance(self, n: int = 1) -> None:
        """Let ``n`` more blocks appear and be announced; fewer at the end of the recording. Call it from any thread."""
        announcements = self._site.address.advance(n)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._site.subscribers.publish, announcements)

    def __enter__(self) -> Self:
        listener = _listen(self._host, self.port)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            build_app(self._site),
            http="httptools",
            ws="websockets-sansio",
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._run, args=(self._server, listener), name="replay", daemon=True)
        self._thread.start()
        if not self._server.listening.wait(_START_SECONDS):
            raise RuntimeError(f"the replay source did not start within {_START_SECONDS:.0f} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        loop, self._loop = self._loop, None
        if loop is not None and self._server is not None and self._thread is not None:
            loop.call_soon_threadsafe(self._server.stopping.set)
            self._thread.join(_STOP_SECONDS)

    def _run(self, server: _Server, listener: socket.socket) -> None:
        asyncio.run(self._serve(server, listener))

    async def _serve(self, server: _Server, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(self._tick())
        try:
            await server.serve(sockets=[listener])
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        rate = self._blocks_per_second
        if not rate:
            return
        loop = asyncio.get_running_loop()
        pause = min(max(1 / rate, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        began, shown = loop.time(), 0
        while True:
            await asyncio.sleep(pause)
            due = int((loop.time() - began) * rate)
            if due > shown:
                self.advance(due - shown)
                shown = due


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and stops at once as a killed process would: sockets drop, nobody is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()
        self.stopping = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait for the end without waking up ten times a second."""
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop every connection and free the port."""
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            loop.remove_reader(listener.fileno())
        # A connection accepted a moment ago is known only some rounds of the loop later, and asyncio leaks its socket
        # if the listener closes before that; one that is dropped is closed in the round after.
        for _round in range(_CLOSING_ROUNDS):
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for server in self.servers:
            await server.wait_closed()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only for sockets that name it.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener
