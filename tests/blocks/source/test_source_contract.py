"""What the synchronizer rests on, asked of a source: always the replay source, and a real server when one is given.

    pytest -m indexer --tx-indexer-url https://host/graphql/query --min-blocks 20

A real server is asked about a stretch of at most a hundred blocks below its tip, in a few dozen requests.
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import urllib3

from blocks.source import queries
from blocks.source.client import Limits, TxIndexer
from blocks.source.endpoint_url import parse_endpoints
from blocks.source.subscription import Doorbell
from blocks.spans import Page, Span
from blocks.sync.window_checks import check_window
from replay.server import ReplaySource
from tests.conftest import recorded

pytestmark = pytest.mark.indexer

STRETCH = 100


@dataclass
class Source:
    """A source under test: its address, the stretch to ask about, and what its subscription must deliver."""

    url: str
    span: Span
    min_blocks: int
    seconds: float
    _pool: urllib3.PoolManager

    @property
    def indexer(self) -> TxIndexer:
        return TxIndexer(parse_endpoints([self.url])[0], Limits(timeout=30, max_bytes=64 << 20, connections=2))

    def post(self, question: str) -> tuple[int, Any]:
        body = json.dumps({"query": question}).encode()
        answer = self._pool.request("POST", self.url, body=body, headers={"Content-Type": "application/json"})
        return answer.status, json.loads(answer.data.decode("utf-8", "replace"))

    def rows(self, question: str) -> Any:
        status, answer = self.post(question)
        assert status == 200, answer
        assert "errors" not in answer, answer
        (rows,) = answer["data"].values()
        return rows


@pytest.fixture(scope="module")
def _pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(timeout=30, retries=False) as pool:
        yield pool


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "source" in metafunc.fixturenames:
        real = ["real"] if metafunc.config.getoption("--tx-indexer-url") else []
        metafunc.parametrize("source", ["replay", *real], indirect=True, scope="module")


@pytest.fixture(scope="module")
def source(request: pytest.FixtureRequest, _pool: urllib3.PoolManager) -> Iterator[Source]:
    option = request.config.getoption
    if request.param == "real":
        url = option("--tx-indexer-url")
        # Blocks come every few seconds on real chains.
        made = Source(url, Span(0, 0), option("--min-blocks"), 60 + 10 * option("--min-blocks"), _pool)
        tip = made.rows(queries.TIP)
        made.span = Span(max(1, tip - STRETCH), tip)
        yield made
        return
    with ReplaySource(recorded("gnotest-1"), start=160, blocks_per_second=30) as replay:
        yield Source(replay.url, Span(60, 159), min(option("--min-blocks"), 20), 20, _pool)


def test_the_height_is_a_number_and_does_not_fall(source: Source) -> None:
    heights = [source.rows(queries.TIP) for _ in range(3)]
    assert all(isinstance(height, int) for height in heights)
    assert heights == sorted(heights)
    assert heights[0] >= source.span.last


def test_bounds_are_strict(source: Source) -> None:
    low, high = source.span.first, source.span.first + 5
    question = "{getBlocks(where:{height:{gt:%d,lt:%d}}){height}}"
    assert [row["height"] for row in source.rows(question % (low, high))] == list(range(low + 1, high))
    rows = source.rows("{getTransactions(where:{block_height:{gt:%d,lt:%d}}){block_height}}" % (low, high))
    assert all(low < row["block_height"] < high for row in rows or ())


def test_what_matches_nothing_is_null(source: Source) -> None:
    height = source.span.first
    for where in ("{gt:%d,lt:%d}" % (height, height + 1), "{gt:%d,lt:%d}" % (height + 5, height), "{gt:-1}"):
        assert source.rows("{getBlocks(where:{height:%s}){height}}" % where) is None
    assert source.rows("{getBlocks(where:{height:{gt:%d}}){height}}" % 2**40) is None
    assert source.rows("{getTransactions(where:{block_height:{gt:%d}}){index}}" % 2**40) is None


def test_rows_are_in_order(source: Source) -> None:
    span = source.span
    blocks, transactions = source.indexer.blocks(span).rows, source.indexer.transactions(span)
    assert [block.height for block in blocks] == list(range(span.first, span.last + 1))
    places = [(row.block_height, row.index) for row in transactions]
    assert places == sorted(set(places))


def test_a_stretch_of_blocks_is_whole_and_linked(source: Source) -> None:
    """One block for each height, num_txs transactions of each, hash links, and differences of total_txs."""
    span = source.span
    blocks = source.indexer.blocks(span).rows
    checked = check_window(span, blocks, source.indexer.transactions(span))
    assert not checked.incomplete
    for before, after in pairwise(blocks):
        assert after.last_block_hash == before.hash
        assert after.total_txs - before.total_txs == after.num_txs
    assert len({block.chain_id for block in blocks}) == 1


def test_a_block_is_read_in_pages_by_index(source: Source) -> None:
    transactions = source.indexer.transactions(source.span)
    if not transactions:
        pytest.skip("no transaction in this stretch")
    heights = [row.block_height for row in transactions]
    fullest = max(heights, key=heights.count)
    whole = [(row.index, row.hash) for row in transactions if row.block_height == fullest]
    size = max(1, len(whole) // 3)
    pages = [Page(fullest, first, first + size - 1) for first in range(0, len(whole), size)]
    found = [(row.index, row.hash) for page in pages for row in source.indexer.transactions(page)]
    assert found == whole
    assert source.indexer.transactions(Page(fullest, len(whole), len(whole) + 10)) == []


def test_events_have_their_kind_and_attributes_their_pairs(source: Source) -> None:
    for row in source.indexer.transactions(source.span):
        for event in json.loads(row.events):
            assert event["__typename"]
            if event["__typename"] == "GnoEvent":
                assert isinstance(event["type"], str)
                assert isinstance(event["pkg_path"], str)
                for attribute in event["attrs"] or ():
                    assert isinstance(attribute["key"], str)
                    assert isinstance(attribute["value"], str)


def test_block_1_and_its_chain_are_known(source: Source) -> None:
    (block,) = source.indexer.blocks(Span(1, 1)).rows
    assert block.height == 1
    assert block.hash
    assert block.chain_id
    assert block.total_txs == block.num_txs, "genesis is not in the running total"


def test_an_unknown_field_refuses_the_whole_question(source: Source) -> None:
    status, answer = source.post("{getBlocks(where:{height:{eq:1}}){height no_such_field}}")
    assert status == 422
    assert not answer.get("data")
    assert "no_such_field" in answer["errors"][0]["message"]


def test_another_content_type_is_refused(source: Source) -> None:
    answer = source._pool.request("POST", source.url, body=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status == 415


def test_a_subscription_delivers_new_blocks(source: Source) -> None:
    """As many rings as --min-blocks, and each block is there to be read a moment later."""
    rings, enough = [0], threading.Event()

    def ring() -> None:
        rings[0] += 1
        if rings[0] >= source.min_blocks:
            enough.set()

    before = source.rows(queries.TIP)
    bell = Doorbell(parse_endpoints([source.url]), ring)
    bell.start()
    try:
        assert enough.wait(source.seconds), f"{rings[0]} of {source.min_blocks} blocks in {source.seconds} s"
    finally:
        bell.stop()
    deadline = time.monotonic() + 10
    while source.rows(queries.TIP) < before + source.min_blocks:
        assert time.monotonic() < deadline, "rung for, and never there to be read"
        time.sleep(0.1)
    span = Span(before + 1, before + source.min_blocks)
    assert [block.height for block in source.indexer.blocks(span).rows] == list(range(span.first, span.last + 1))
