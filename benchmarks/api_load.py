"""Servers and load for the API benchmark: granian, and wrk from Debian's packages."""

import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.database import ROOT

SATURATING = 16
"""Connections that ask again as soon as they are answered."""
THINKING = 64
"""Connections that pause between two requests, when a rate is wanted."""


@dataclass(frozen=True)
class Load:
    """What wrk measured: all times in milliseconds."""

    rate: float
    p50: float
    p99: float


@dataclass(frozen=True)
class Processes:
    """How a server is run: so many processes, and in each so many threads that answer."""

    workers: int
    threads: int

    def __str__(self) -> str:
        return f"{self.workers} x {self.threads}"


def has_wrk() -> bool:
    return shutil.which("wrk") is not None


@contextmanager
def serve(application: str, url: str, processes: Processes) -> Iterator[int]:
    """Run a WSGI application; the port that it answers at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {
        **os.environ, "DATABASE_URL": url, "SECRET_KEY": secrets.token_urlsafe(50), "HTTPS": "false",
        "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    command = [
        sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}", "--http=1",
        "--no-ws", f"--workers={processes.workers}", f"--blocking-threads={processes.threads}", "--log-level=warning",
        application,
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        try:
            _await_answer(server, port)
            yield port
        finally:
            server.terminate()


def _await_answer(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            ask(port, "/health")
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not answer within a minute.")


def ask(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()


@dataclass(frozen=True)
class Route:
    """Requests of one kind: paths with their queries, of which each request takes one at random."""

    name: str
    paths: Sequence[str]
    known: bool = False
    """Each request says what it knows (If-None-Match), and is answered 304."""


class Wrk:
    """Load on one route of one server."""

    def __init__(self, port: int, route: Route, folder: Path) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._file = folder / f"{route.name.replace(' ', '-')}.paths"
        self._file.write_text("\n".join(route.paths) + "\n")
        status, headers, body = ask(port, route.paths[0])
        assert status == 200, (route.paths[0], status, body)
        self._etag = headers["etag"] if route.known else ""
        if route.known:
            assert ask(port, route.paths[0], {"If-None-Match": self._etag})[0] == 304

    def saturate(self, seconds: float) -> Load:
        return self._run(SATURATING, 0, seconds)

    def at(self, rate: float, seconds: float) -> Load:
        """The load at about so many requests a second, from connections that pause.

        wrk has no rate, so the pause is found: a connection asks once in pause + answer.
        """
        cycle = THINKING * 1000 / rate
        pause = cycle
        for _ in range(2):
            tried = self._run(THINKING, max(pause, 0.1), max(seconds / 4, 1))
            pause += cycle - THINKING * 1000 / tried.rate
        return self._run(THINKING, max(pause, 0.1), seconds)

    def _run(self, connections: int, pause: float, seconds: float) -> Load:
        known = [self._etag] if self._etag else []
        printed = subprocess.run(
            # An answer that takes long is a figure, not a failure.
            ["wrk", "--threads=1", f"--connections={connections}", f"--duration={max(round(seconds), 1)}s", "--latency",
             "--timeout=30s", f"--script={ROOT / 'benchmarks' / 'api_load.lua'}", self._url,
             "--", str(self._file), str(pause), *known],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        said = json.loads(printed.splitlines()[-1])
        assert not said["failed"], printed
        return Load(said["requests"] / said["seconds"], said["p50_ms"], said["p99_ms"])
