"""Is a window whole, and of this chain? Pure checks over what an endpoint answered; nothing is believed unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.plan import Span
from blocks.storable import storable


class WrongChain(Exception):
    """What the endpoint serves is not the chain that is stored; the text names both."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """What links a stored block to its neighbours."""

    height: int
    hash: str
    last_block_hash: str
    num_txs: int
    total_txs: int

    @classmethod
    def of(cls, block: BlockAnswer) -> "StoredBlock":
        """A fetched block as it will stand in the database."""
        return cls(block.height, storable(block.hash), storable(block.last_block_hash), block.num_txs, block.total_txs)


@dataclass(frozen=True)
class Checked:
    """A window after the checks: complete heights with their rows, in order, and what is wrong with the others."""

    blocks: list[BlockAnswer]
    transactions: list[TransactionAnswer]
    incomplete: dict[int, str]


def check_window(
    span: Span,
    blocks: Sequence[BlockAnswer],
    transactions: Sequence[TransactionAnswer],
    disputed: Mapping[int, str] | None = None,
) -> Checked:
    """Sort a window's rows into complete heights and incomplete ones; `disputed` heights, with the reason, are not.

    A height is complete when its block is there once, its time is a time, its transactions are exactly those with index
    0 to `num_txs` − 1, and it agrees with its neighbours in the window: hash link and running total.
    """
    by_height: dict[int, list[TransactionAnswer]] = {}
    for transaction in transactions:
        by_height.setdefault(transaction.block_height, []).append(transaction)
    found: dict[int, BlockAnswer] = {}
    incomplete: dict[int, str] = dict(disputed or {})
    for block in blocks:
        if block.height in found and found[block.height] != block:
            incomplete[block.height] = "two different blocks in one answer"
        found[block.height] = block
    for height in range(span.first, span.last + 1):
        wrong = _wrong(found.get(height), by_height.get(height, [])) or _wrong_link(found, height)
        if wrong:
            incomplete.setdefault(height, wrong)
    complete = [found[h] for h in range(span.first, span.last + 1) if h not in incomplete]
    rows = [t for block in complete for t in sorted(by_height.get(block.height, ()), key=lambda t: t.index)]
    return Checked(complete, rows, incomplete)


def _wrong(block: BlockAnswer | None, transactions: Sequence[TransactionAnswer]) -> str | None:
    if block is None:
        return "no block"
    indexes = sorted(transaction.index for transaction in transactions)
    if len(indexes) != block.num_txs:
        return f"the block says {block.num_txs} transactions, the answer has {len(indexes)}"
    if indexes != list(range(block.num_txs)):
        return "the transactions' indexes are not 0, 1, 2, …"
    try:
        block.stored_time()
    except (ValueError, OverflowError):
        return f"the block's time is {block.time!r:.40}"
    return None


def _wrong_link(found: dict[int, BlockAnswer], height: int) -> str | None:
    block, before = found.get(height), found.get(height - 1)
    return None if block is None or before is None else wrong_link(before, block)


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


def check_stored(block: BlockAnswer, stored: StoredBlock) -> None:
    """Raise `WrongChain` when `block` is not the one stored at its height (genesis has no hash, but a count)."""
    if StoredBlock.of(block) != stored:
        raise WrongChain(
            f"its block {block.height} is {block.hash!r} with total_txs {block.total_txs}, and the stored one is "
            f"{stored.hash!r} with {stored.total_txs}: the chain was reset, or is another of the same name"
        )


def check_chain(block: BlockAnswer, chain_id: str, first_block_hash: str) -> None:
    """Raise `WrongChain` when `block` is not of the chain with `chain_id` and `first_block_hash` ("" when unknown)."""
    if storable(block.chain_id) != chain_id:
        raise WrongChain(f"it serves chain {block.chain_id!r} and this database holds {chain_id!r}")
    if block.height == 1 and first_block_hash and storable(block.hash) != first_block_hash:
        raise WrongChain(
            f"block 1 of its {chain_id!r} is {block.hash!r} and this database holds one that begins with "
            f"{first_block_hash!r}: the chain was reset, or is another of the same name"
        )
