"""Reading stored heights again, and saying what differs between what is stored and what the source says now."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from blocks import gaps
from blocks.incomplete_blocks import holes
from blocks.models import Block, Chain, Transaction
from blocks.source.client import EndpointUnavailable, TxIndexer
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span, windows
from blocks.sync.fetch import Window, fetch_window
from blocks.sync.writer import Record, write_window
from postgres.text import storable


@dataclass(frozen=True)
class Difference:
    """One thing that differs; `index` is None where it is about the block."""

    height: int
    index: int | None
    what: str


def resync(
    endpoints: Sequence[TxIndexer], span: Span, record: Record, *, window_blocks: int, window_transactions: int
) -> Iterator[Difference]:
    """Read `span` again, window by window, store what differs, and yield the differences.

    A height that counts as complete, whose rows are gone and which the source does not give whole, is missing after it.
    Raises `EndpointUnavailable` when no endpoint answers, and `WrongChain`.
    """
    chain = Chain.objects.get(id=1)
    for part in windows([span], window_blocks):
        window = _fetch(endpoints, part, window_transactions)
        differences = list(_compare(window))
        if differences:
            write_window(chain, record, window)
        yield from differences
        if gone := [height for hole in holes(part.first, part.last) for height in range(hole.first, hole.last + 1)]:
            gaps.uncover(gone)
            yield from (Difference(height, None, "its rows are gone; it is missing from now on") for height in gone)


def _fetch(endpoints: Sequence[TxIndexer], span: Span, rows: int) -> Window:
    trouble: EndpointUnavailable | None = None
    for endpoint in endpoints:
        try:
            return fetch_window(endpoint, span, rows)
        except EndpointUnavailable as unavailable:
            trouble = unavailable
    raise trouble or EndpointUnavailable("TX_INDEXER_URLS", "no endpoint is given")


def _compare(window: Window) -> Iterator[Difference]:
    span = window.span
    for height, reason in window.checked.incomplete.items():
        yield Difference(height, None, f"the source does not give it whole: {reason}")
    blocks = {block.height: block for block in Block.objects.filter(height__range=(span.first, span.last))}
    for block in window.checked.blocks:
        stored = blocks.get(block.height)
        yield from _differing(block.height, None, _stored_block(stored), _block(block))
    transactions = {
        (row.block_height, row.index): row
        for row in Transaction.objects.filter(block_height__range=(span.first, span.last))
    }
    for answer in window.checked.transactions:
        row = transactions.pop((answer.block_height, answer.index), None)
        yield from _differing(answer.block_height, answer.index, _stored_transaction(row), _transaction(answer))
    for height, index in transactions:
        if height not in window.checked.incomplete:
            yield Difference(height, index, "stored, and the source does not have it")


def _differing(
    height: int, index: int | None, stored: dict[str, Any] | None, said: dict[str, Any]
) -> Iterator[Difference]:
    if stored is None:
        yield Difference(height, index, "was not stored")
        return
    for name, value in said.items():
        if stored[name] != value:
            yield Difference(height, index, f"{name} was {stored[name]!r:.200} and is {value!r:.200}")


def _block(block: BlockAnswer) -> dict[str, Any]:
    return {
        "hash": storable(block.hash),
        "last_block_hash": storable(block.last_block_hash),
        "time": block.stored_time(),
        "num_txs": block.num_txs,
        "total_txs": block.total_txs,
    }


def _stored_block(block: Block | None) -> dict[str, Any] | None:
    names = ("hash", "last_block_hash", "time", "num_txs", "total_txs")
    return None if block is None else {name: getattr(block, name) for name in names}


def _transaction(answer: TransactionAnswer) -> dict[str, Any]:
    return {
        "hash": storable(answer.hash),
        "success": answer.success,
        "error": storable(answer.response.error),
        "memo": storable(answer.memo),
        "events": json.loads(answer.events),
    }


def _stored_transaction(row: Transaction | None) -> dict[str, Any] | None:
    names = ("hash", "success", "error", "memo", "events")
    return None if row is None else {name: getattr(row, name) for name in names}
