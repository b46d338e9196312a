"""Links between blocks: whether two blocks, stored or fetched, can be of one chain."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """What links a stored block to its neighbours. `time`: None where the source gave none that makes sense."""

    height: int
    hash: str
    last_block_hash: str
    num_txs: int
    total_txs: int
    time: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """Two blocks of one source, both whole, that do not link: from `height` on it serves another chain than below.

    `isolated`: the upper one links to the block above it as little, so that it may be alone in being wrong. `lower`:
    the height of the lower one where they are no neighbours; then the chains part somewhere between.
    """

    height: int
    reason: str
    isolated: bool = field(default=False, compare=False)
    lower: int | None = field(default=None, compare=False)


class Linked(Protocol):
    """What a block, fetched or stored, says of itself and of the one before it."""

    @property
    def height(self) -> int: ...
    @property
    def hash(self) -> str: ...
    @property
    def last_block_hash(self) -> str: ...
    @property
    def num_txs(self) -> int: ...
    @property
    def total_txs(self) -> int: ...


def wrong_link(before: Linked, block: Linked) -> str | None:
    """What is wrong between a block and its successor; None when they fit.

    Genesis has no hash and its transactions are not in the running total, so block 1 starts both chains anew.
    """
    expected_hash, expected_total = (before.hash, before.total_txs) if before.height > 0 else ("", 0)
    if block.last_block_hash != expected_hash:
        return f"it follows {block.last_block_hash!r}, and block {before.height} is {expected_hash!r}"
    if block.total_txs != expected_total + block.num_txs:
        return f"total_txs is {block.total_txs}, and {expected_total} + {block.num_txs} was expected"
    return None


def break_between(before: Linked, block: Linked) -> ChainBreak:
    """The break between two neighbours that do not link."""
    return ChainBreak(block.height, f"block {block.height} ({block.hash!r}) does not link: {wrong_link(before, block)}")


def cannot_follow(lower: StoredBlock, upper: StoredBlock) -> str | None:
    """Why `upper` cannot be above `lower` on one chain, heights apart; None when it can.

    Totals never fall and count all transactions in between, times never go back. Genesis is in neither: its time may be
    any, and its transactions are not in the running total.
    """
    if lower.height == 0:
        return None
    if upper.height == lower.height + 1:
        return wrong_link(lower, upper)
    if not upper.last_block_hash:
        return f"block {upper.height} has no predecessor, and block {lower.height} is {lower.hash!r}"
    if upper.total_txs - upper.num_txs < lower.total_txs:
        return (
            f"total_txs is {upper.total_txs} at block {upper.height} ({upper.hash!r}) with its {upper.num_txs}, and "
            f"{lower.total_txs} at block {lower.height} ({lower.hash!r})"
        )
    if lower.time is not None and upper.time is not None and upper.time < lower.time:
        return (
            f"block {upper.height} ({upper.hash!r}) is of {upper.time:%Y-%m-%dT%H:%M:%SZ}, before block {lower.height} "
            f"({lower.hash!r}) of {lower.time:%Y-%m-%dT%H:%M:%SZ}"
        )
    return None
