"""A stream server of a test's own, on a real socket, and clients of it."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from balances.indexed_height import ring
from balances.stream import pages
from balances.stream.app import Stream
from balances.stream.event_ids import end_of
from balances.stream.hub import Hub
from balances.stream.server import open_socket, serve
from tests.polling import until

Headers = dict[str, str]

PATIENCE = 20.0
"""Seconds after which a test fails that waits for something which should come at once."""


@dataclass
class Server:
    """A running server."""

    stream: Stream
    port: int
    _loop: asyncio.AbstractEventLoop
    _stop: asyncio.Event
    _clients: "list[Client]" = field(default_factory=list)

    def do(self, work: Any, *arguments: Any) -> Any:
        """What `work` returns in the server's event loop."""

        async def run() -> Any:
            return work(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE)

    def look(self) -> None:
        """Wait until the server has looked at what is committed now."""
        for _ in range(2):  # the first look may have begun before
            looked = self.do(lambda: self.stream.hub.looked)
            ring()
            until(looked.is_set, "a look")

    def settle(self, height: int) -> None:
        """Wait until every listener is live and was sent everything up to `height`, and give each a sign of life."""

        def settled() -> bool:
            hub = self.stream.hub
            idle = not any(listener._waiting for listener in hub._live)
            return idle and hub.head >= end_of(height) and len(hub) == len(self.stream)

        until(lambda: self.do(settled), f"all listeners at height {height}")
        self.do(self.stream.hub.beat)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    def ask(
        self, path: str = "/events/stream", method: str = "GET", *, given: Headers | None = None, **query: Any
    ) -> "Client":
        self._clients.append(Client(self.port, path, query, given or {}, method))
        return self._clients[-1]

    def listen(self, last_event_id: str | None = None, **query: Any) -> "Client":
        """A client to which the stream was opened."""
        given = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        client = self.ask(given=given, **query)
        assert client.status == 200, client.body()
        assert client.headers["content-type"] == "text/event-stream"
        return client


@contextmanager
def serving(*, most: int = 1000, origins: tuple[str, ...] = ("*",)) -> Iterator[Server]:
    """A server in a thread of its own; ended, and waited for, at the end of the block."""
    opened = open_socket("127.0.0.1", 0)
    stream = Stream(Hub(pages.look()), most=most, origins=frozenset(origins))
    started: list[Server] = []
    ready = threading.Event()

    def run() -> None:
        async def main() -> None:
            stop = asyncio.Event()
            started.append(Server(stream, opened.getsockname()[1], asyncio.get_running_loop(), stop))
            ready.set()
            await serve(stream, opened, stop)

        asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(PATIENCE)
    server = started[0]
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE)
        for client in server._clients:
            client.close()
        assert not thread.is_alive(), "the server does not stop"


@dataclass
class Event:
    """An event as a browser would see it; a comment has no name."""

    name: str
    id: str
    data: Any


@dataclass
class Client:
    """A connection to a server, with the head of its answer read."""

    port: int
    path: str
    query: dict[str, Any] = field(default_factory=dict)
    given: Headers = field(default_factory=dict)
    method: str = "GET"

    def __post_init__(self) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(PATIENCE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what is not read, the server keeps
        self._socket.connect(("127.0.0.1", self.port))
        target = f"{self.path}?{urlencode(self.query)}" if self.query else self.path
        lines = [f"{self.method} {target} HTTP/1.1", "Host: test", *(f"{k}: {v}" for k, v in self.given.items())]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.retry: int | None = None
        self.events = self._read()
        """Events as they come; it ends when the server ends the stream."""

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def body(self) -> Any:
        return json.loads(self._file.read(int(self.headers["content-length"])))

    def _read(self) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in self._lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line and not name:
                yield Event("", "", None)
            elif name == "retry":
                self.retry = int(value)
            elif line:
                assert name in ("id", "event", "data")
                assert name not in fields
                fields[name] = value
            elif fields:
                yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
                fields = {}
        assert not fields, "the stream ended within an event"

    def _lines(self) -> Iterator[str]:
        # Chunked transfer encoding, taken apart: a line may be spread over chunks.
        rest = b""
        while size := int(self._file.readline(), 16):
            rest += self._file.read(size)
            assert self._file.read(2) == b"\r\n"
            *lines, rest = rest.split(b"\n")
            yield from (line.decode() for line in lines)
        assert not rest

    def take(self, name: str) -> Event:
        """The next event, which must be of this name."""
        event = next(self.events)
        assert event.name == name, event
        return event

    def until_beat(self) -> list[Event]:
        """Events up to the next sign of life, which must come; without it."""
        found: list[Event] = []
        for event in self.events:
            if event.name in ("", "progress"):
                return found
            found.append(event)
        raise AssertionError(f"the stream ended after {found[-1:]}")
