"""Databases filled the way the product fills them: a recorded chain through recorder, queue and processor."""

import json
import threading
from collections.abc import Sequence
from typing import Any

import msgspec

from balances.indexed_height import read_indexed_height
from balances.processor import Processor
from blocks import store
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span
from events.queues.postgres import PostgresQueue
from indexer_project import wiring
from replay.recording import Recording
from tests.conftest import ROOT, recorded


def fill_database(name: str, *, first: int = 0, last: int | None = None) -> Recording:
    """Store and apply heights `first` to `last` (the tip) of the recording `name`, as if each had been synchronized."""
    recording = recorded(name)
    store_heights(recording, first, recording.heights[-1] if last is None else last)
    apply_pending()
    return recording


def store_heights(recording: Recording, first: int, last: int) -> None:
    """Store heights `first` to `last` of a recording with their messages, which wait in the outbox."""
    blocks = [msgspec.convert(row, BlockAnswer) for row in recording.blocks if first <= row["height"] <= last]
    transactions = [transaction_answer(row) for row in recording.transactions if first <= row["block_height"] <= last]
    store_window(blocks, transactions)


def store_window(blocks: Sequence[BlockAnswer], transactions: Sequence[TransactionAnswer]) -> None:
    """What the synchronizer does with a window that it has checked."""
    chain = store.adopt_chain(blocks[0], start_height=0)
    store.insert_window(blocks, transactions)
    wiring.record_events(chain.chain_id, transactions)
    first_block_hash = next((block.hash for block in blocks if block.height == 1), None)
    store.cover([Span(blocks[0].height, blocks[-1].height)], first_block_hash)
    store.see_tip(blocks[-1].height, level=True)


def apply_pending() -> None:
    """Apply every message that waits."""
    queue = PostgresQueue()
    try:
        Processor(queue, lambda: read_indexed_height().chain_id, threading.Event(), wait_seconds=0.01).run(
            until_applied=True
        )
    finally:
        queue.close()


def transaction_answer(row: dict[str, Any]) -> TransactionAnswer:
    """A recorded transaction as the client decodes it: messages and events stay raw JSON."""
    response = row["response"] | {"events": msgspec.Raw(json.dumps(row["response"]["events"]).encode())}
    return msgspec.convert(
        row | {"messages": msgspec.Raw(json.dumps(row["messages"]).encode()), "response": response}, TransactionAnswer
    )


def oracle(name: str) -> dict[str, Any]:
    """balances.json of a recording: what the chain itself says it holds at the tip."""
    answered: dict[str, Any] = json.loads((ROOT / "recordings" / name / "balances.json").read_text())
    return answered
