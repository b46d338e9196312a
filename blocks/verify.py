"""Is a window whole, and of this chain? Pure checks over what an endpoint answered; nothing is believed unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.plan import Span
from blocks.storable import storable


class WrongChain(Exception):
    """What the endpoint serves is not the chain that is stored; the text names both."""


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """What links a stored block to its neighbours. `time`: None where the source gave none that makes sense."""

    height: int
    hash: str
    last_block_hash: str
    num_txs: int
    total_txs: int
    time: datetime | None = field(default=None, compare=False)

    @classmethod
    def of(cls, block: BlockAnswer) -> "StoredBlock":
        """A fetched block as it will stand in the database."""
        try:
            time = block.stored_time()
        except (ValueError, OverflowError):
            time = None
        return cls(
            block.height, storable(block.hash), storable(block.last_block_hash), block.num_txs, block.total_txs, time
        )


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


@dataclass(frozen=True)
class Checked:
    """A window after the checks: complete heights with their rows, in order, and what is wrong with the others.

    From the height of `chain_break` on, nothing is complete and nothing is known to be wrong.
    """

    blocks: list[BlockAnswer]
    transactions: list[TransactionAnswer]
    incomplete: dict[int, str]
    chain_break: ChainBreak | None = None

    def below(self, chain_break: ChainBreak) -> "Checked":
        """The same window without everything from a break on; the lower break stays, where there are two."""
        if self.chain_break is not None and self.chain_break.height <= chain_break.height:
            return self
        return Checked(
            [block for block in self.blocks if block.height < chain_break.height],
            [row for row in self.transactions if row.block_height < chain_break.height],
            {height: reason for height, reason in self.incomplete.items() if height < chain_break.height},
            chain_break,
        )

    def without(self, heights: Mapping[int, str]) -> "Checked":
        """The same window with these heights incomplete, for these reasons."""
        return Checked(
            [block for block in self.blocks if block.height not in heights],
            [row for row in self.transactions if row.block_height not in heights],
            {**self.incomplete, **heights},
            self.chain_break,
        )


def check_window(
    span: Span,
    blocks: Sequence[BlockAnswer],
    transactions: Sequence[TransactionAnswer],
    *,
    disputed: Mapping[int, str] = MappingProxyType({}),
    unreadable: Mapping[int, str] = MappingProxyType({}),
    neighbours: Sequence[BlockAnswer] = (),
) -> Checked:
    """Sort a window's rows into complete heights and incomplete ones.

    A height is complete when its block is there once, its time is a time, its transactions are exactly those with index
    0 to `num_txs` − 1, and it agrees with its neighbours in the window: hash link and running total. Where two heights
    that are whole do not agree, the window ends below the upper one (`Checked.chain_break`).

    `disputed` and `unreadable`: heights that are incomplete for these reasons. `neighbours`: blocks of the same source
    beside the window, which were whole before.
    """
    by_height: dict[int, list[TransactionAnswer]] = {}
    for transaction in transactions:
        by_height.setdefault(transaction.block_height, []).append(transaction)
    incomplete: dict[int, str] = {height: reason for height, reason in unreadable.items() if span.holds(height)}
    found: dict[int, BlockAnswer] = {block.height: block for block in neighbours if not span.holds(block.height)}
    for block in blocks:
        if block.height in found and found[block.height] != block:
            incomplete.setdefault(block.height, "two different blocks in one answer")
        found[block.height] = block
    for height in range(span.first, span.last + 1):
        if wrong := _wrong(found.get(height), by_height.get(height, [])):
            incomplete.setdefault(height, wrong)
    chain_break = None
    unlinked: dict[int, str] = {}
    for height in range(span.first, span.last + 2):
        if wrong := _wrong_link(found, height):
            if chain_break is None and height not in incomplete and height - 1 not in incomplete:
                chain_break = break_between(found[height - 1], found[height])
            if span.holds(height):
                unlinked[height] = wrong
    if chain_break is not None and chain_break.height > span.last:
        # The upper one is stored already: nothing is stored below it that it does not follow.
        incomplete[span.last] = chain_break.reason
    incomplete = {**unlinked, **incomplete, **{height: why for height, why in disputed.items() if span.holds(height)}}
    complete = [found[h] for h in range(span.first, span.last + 1) if h not in incomplete]
    rows = [t for block in complete for t in sorted(by_height.get(block.height, ()), key=lambda t: t.index)]
    checked = Checked(complete, rows, incomplete)
    return checked if chain_break is None else checked.below(chain_break)


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
