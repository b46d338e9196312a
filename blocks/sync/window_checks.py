"""Is a window whole, and of this chain? Pure checks over what an endpoint answered; nothing is believed unchecked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from blocks.links import ChainBreak, StoredBlock, break_between, wrong_link
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span
from postgres.text import storable


class WrongChain(Exception):
    """What the endpoint serves is not the chain that is stored; the text names both."""


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


def stored_block(block: BlockAnswer) -> StoredBlock:
    """A fetched block as it will stand in the database."""
    try:
        time = block.stored_time()
    except (ValueError, OverflowError):
        time = None
    return StoredBlock(
        block.height, storable(block.hash), storable(block.last_block_hash), block.num_txs, block.total_txs, time
    )


def check_stored(block: BlockAnswer, stored: StoredBlock) -> None:
    """Raise `WrongChain` when `block` is not the one stored at its height (genesis has no hash, but a count)."""
    if stored_block(block) != stored:
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
