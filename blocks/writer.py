"""Storing checked windows: complete heights and what hangs on them, each window in one database transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DataError, Error, IntegrityError, OperationalError, transaction

from blocks import store
from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.fetch import Window
from blocks.leadership import verify_leadership
from blocks.models import Chain
from blocks.plan import spans_of
from blocks.storable import storable
from blocks.verify import StoredBlock, WrongChain, check_chain, wrong_link

Record = Callable[[str, Sequence[TransactionAnswer]], None]
"""Told, inside the storing database transaction, the chain id and the transactions of complete heights, in order."""


@dataclass
class Written:
    """What a window came to: heights stored, the coverage after it, and heights that the database refused, with why."""

    blocks: int
    transactions: int
    coverage: list[tuple[int, int]] | None
    refused: dict[int, str]


class Writer:
    """Writes windows of one chain."""

    def __init__(self, chain: Chain, record: Record) -> None:
        self._chain = chain
        self._record = record

    def write(self, window: Window) -> Written:
        """Store the window's complete heights; where the database refuses a row, all heights but that row's.

        Raises `WrongChain` when a block is not of, or does not link to, the stored chain; nothing is stored then.
        """
        blocks = window.checked.blocks
        # Block 1 came with the rows: an address that changed its chain meanwhile gives itself away.
        for block in blocks if window.first is None else (window.first, *blocks):
            check_chain(block, self._chain.chain_id, self._chain.first_block_hash)
        _check_edges(blocks)
        written = Written(0, 0, None, {})
        self._insert(blocks, window.checked.transactions, written)
        return written

    def _insert(
        self, blocks: Sequence[BlockAnswer], transactions: Sequence[TransactionAnswer], written: Written
    ) -> None:
        if not blocks:
            return
        first_hash = next((storable(block.hash) for block in blocks if block.height == 1), None)
        try:
            with transaction.atomic(durable=True):
                verify_leadership()
                store.insert_window(blocks, transactions)
                self._record(self._chain.chain_id, transactions)
                written.coverage = store.cover(spans_of([block.height for block in blocks]), first_hash)
        except (DataError, IntegrityError, OperationalError) as error:
            if not _is_about_a_row(error):
                raise
            if len(blocks) == 1:
                written.refused[blocks[0].height] = f"the database refuses it: {str(error).strip():.200}"
                return
            middle = blocks[len(blocks) // 2].height
            for low in (True, False):
                self._insert(
                    [block for block in blocks if (block.height < middle) is low],
                    [transaction for transaction in transactions if (transaction.block_height < middle) is low],
                    written,
                )
            return
        if first_hash is not None:
            self._chain.first_block_hash = first_hash
        written.blocks += len(blocks)
        written.transactions += len(transactions)


def _is_about_a_row(error: Error) -> bool:
    """Whether the database refuses what it was given, rather than being away itself."""
    if isinstance(error, (DataError, IntegrityError)):
        return True
    # Class 54, "program limit exceeded": a string longer than an index takes, or JSON nested too deep.
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return state.startswith("54")


def _check_edges(blocks: Sequence[BlockAnswer]) -> None:
    """Compare blocks with their stored neighbours, so that windows of two chains never stand side by side."""
    heights = {block.height for block in blocks}
    stored = store.stored_blocks([edge for h in heights for edge in (h - 1, h + 1) if edge not in heights])
    if not stored:
        return
    for block in blocks:
        own = StoredBlock.of(block)
        before, after = stored.get(block.height - 1), stored.get(block.height + 1)
        wrong = before and wrong_link(before, own)
        if not wrong and after:
            wrong = wrong_link(own, after)
        if wrong:
            raise WrongChain(f"block {block.height} does not link to what is stored: {wrong}")
