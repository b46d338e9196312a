"""Live latency: from a block appearing at the source to its commit here, and to its balance through the API."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from benchmarks import chain as synthetic
from demo.api import Api
from demo.processes import ROOT, Processes
from dev.localstack import free_port
from replay.recording import Recording
from replay.server import ReplaySource

START = 20


def recording(blocks: int) -> Recording:
    chain = synthetic.full_blocks(START + blocks, 2)
    rows = [json.loads(row) for of in chain.transactions for row in of]
    return Recording.from_rows([json.loads(row) for row in chain.blocks], rows)


def measure(url: str, blocks: int, seconds_between: float) -> dict[str, dict[str, float]]:
    """Percentiles, in milliseconds, over `blocks` blocks that appear one by one: `live_ms` and `readable_ms`."""
    port = free_port()
    api = Api(f"http://127.0.0.1:{port}")
    committed: list[float] = []
    readable: list[float] = []
    with ReplaySource(recording(blocks), start=START) as source, _processes(url, source.url, port):
        _wait(lambda: api.indexed_height() >= START - 1)
        with psycopg.connect(url, autocommit=True) as listener:
            listener.execute("LISTEN outbox")
            for _ in range(blocks):
                appeared = time.perf_counter()
                assert source.tip is not None
                watcher = threading.Thread(target=_watch, args=[api, source.tip + 1, appeared, readable])
                watcher.start()
                source.advance(1)
                next(listener.notifies(timeout=10, stop_after=1))
                committed.append((time.perf_counter() - appeared) * 1000)
                watcher.join()
                time.sleep(seconds_between)
    return {"live_ms": _percentiles(committed), "readable_ms": _percentiles(readable)}


def _watch(api: Api, height: int, appeared: float, readable: list[float]) -> None:
    while api.indexed_height() < height:
        time.sleep(0.002)
    readable.append((time.perf_counter() - appeared) * 1000)


@contextmanager
def _processes(database: str, source: str, port: int) -> Iterator[None]:
    environment = {
        "DATABASE_URL": database,
        "TX_INDEXER_URLS": source,
        "SECRET_KEY": "benchmark",
        "HTTPS": "false",
        "SYNC_POLL_SECONDS": "5",
    }
    with Processes(ROOT / ".data" / "benchmark-logs", environment) as processes:
        processes.start("runsync", "manage.py", "runsync")
        processes.start("processevents", "manage.py", "processevents")
        processes.start(
            "api", "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={port}", "--workers=1",
            "--blocking-threads=2", "indexer_project.wsgi:application",
        )  # fmt: skip
        yield


def _wait(condition) -> None:  # type: ignore[no-untyped-def]  # any callable
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the system did not start within a minute")
        time.sleep(0.05)


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}
