"""Answers made by hand: a chain of any shape whose links and totals are right."""

from collections.abc import Mapping
from typing import Any

import msgspec

from blocks.source.payloads import BlockAnswer, Response, TransactionAnswer


def block(like: BlockAnswer, **changes: Any) -> BlockAnswer:
    """A copy with some fields changed."""
    return msgspec.structs.replace(like, **changes)


def transaction(height: int, index: int, **fields: Any) -> TransactionAnswer:
    return TransactionAnswer(
        block_height=height,
        index=index,
        hash=f"transaction {height}/{index}",
        success=True,
        gas_wanted=1,
        gas_used=1,
        response=Response(events=msgspec.Raw(b"[]")),
        messages=msgspec.Raw(b"[]"),
        **fields,
    )


def chain(counts: Mapping[int, int]) -> tuple[list[BlockAnswer], list[TransactionAnswer]]:
    """Blocks with these numbers of transactions, by ascending height, and the transactions."""
    blocks: list[BlockAnswer] = []
    total = 0
    for height in sorted(counts):
        total += counts[height] if height else 0
        blocks.append(
            BlockAnswer(
                height=height,
                hash=f"block {height}" if height else "",
                time=f"2026-08-07T10:{height // 60:02}:{height % 60:02}.123456789Z",
                num_txs=counts[height],
                total_txs=total if height else counts[height],
                last_block_hash=f"block {height - 1}" if height > 1 else "",
                chain_id="dev",
            )
        )
    return blocks, [transaction(height, index) for height in sorted(counts) for index in range(counts[height])]
