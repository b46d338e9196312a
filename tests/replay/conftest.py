"""What the replay's tests ask with: plain HTTP, synthetic rows, and waiting by polling."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3

from replay.recording import Recording, load_recording
from replay.server import ReplaySource
from tests.replay.replay_client import RECORDINGS, Answered, Ask, ChainOf, WaitUntil


@pytest.fixture(scope="session")
def gnotest() -> Recording:
    return load_recording(RECORDINGS / "gnotest-1")


@pytest.fixture(scope="session")
def _served(gnotest: Recording) -> Iterator[ReplaySource]:
    with ReplaySource(gnotest) as source:
        yield source


@pytest.fixture
def whole(_served: ReplaySource) -> ReplaySource:
    """gnotest-1, all of it; shared, so ask it only."""
    return _served


@pytest.fixture(scope="session")
def _pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(timeout=20, retries=False) as pool:
        yield pool


@pytest.fixture
def ask(_pool: urllib3.PoolManager) -> Ask:
    """Send one GraphQL request: ``ask(source, query, variables)``."""

    def send(source: ReplaySource, query: str, variables: dict[str, Any] | None = None) -> Answered:
        body = {"query": query} if variables is None else {"query": query, "variables": variables}
        # A connection of its own: sources come and go on the same port, and faults cut connections.
        headers = {"Content-Type": "application/json", "Connection": "close"}
        response = _pool.request("POST", source.url, body=json.dumps(body).encode(), headers=headers)
        return Answered(response.status, response.headers, response.data)

    return send


@pytest.fixture
def wait_until() -> WaitUntil:
    """Poll until something is true, or fail after ten seconds."""

    def wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "waited ten seconds in vain"
            time.sleep(0.005)

    return wait


@pytest.fixture
def chain_of() -> ChainOf:
    """A synthetic chain: ``chain_of(3, 0, 2)`` has blocks 0, 1, 2 with 3, 0 and 2 transactions."""

    def build(*counts: int, **fields: Any) -> Recording:
        blocks = [{"height": height, "hash": f"block{height}", "num_txs": n} for height, n in enumerate(counts)]
        transactions = [
            {"block_height": height, "index": index, "hash": f"tx{height}.{index}", "success": True} | fields
            for height, count in enumerate(counts)
            for index in range(count)
        ]
        return Recording.from_rows(blocks, transactions, "synthetic")

    return build
