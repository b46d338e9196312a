"""Storing checked windows: complete heights and what hangs on them, each window in one database transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import Error, transaction

from blocks import store
from blocks.links import ChainBreak, cannot_follow
from blocks.models import Chain
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span, spans_of
from blocks.sync.fetch import Window
from blocks.sync.leadership import verify_leadership
from blocks.sync.window_checks import WrongChain, check_chain, check_stored, stored_block
from postgres.errors import blames_row, divisible
from postgres.text import storable

Record = Callable[[str, Sequence[TransactionAnswer]], None]
"""Told, inside the storing database transaction, the chain id and the transactions of complete heights, in order."""


@dataclass
class Written:
    """What a window came to: heights stored, the coverage after it, and heights that were refused, with why.

    `chain_break`: where the source serves two chains; nothing is stored from its height on. `healed`: accepted gaps
    that are complete now.
    """

    blocks: int = 0
    transactions: int = 0
    coverage: list[tuple[int, int]] | None = None
    refused: dict[int, str] = field(default_factory=dict)
    chain_break: ChainBreak | None = None
    healed: list[Span] = field(default_factory=list)


def write_window(chain: Chain, record: Record, window: Window) -> Written:
    """Store a window's complete heights; where the database refuses a row, all heights but that row's.

    The source proves first that it serves the stored chain: by block 1, and by the stored blocks around the window.
    Raises `WrongChain` when it does not, or when a block cannot belong above or below what is stored; nothing is stored
    then. What exceeds a limit of the server is stored in parts. Raises Django's `Error` when the database cannot be
    written.
    """
    checked = window.checked
    # Block 1 came with the rows: an address that changed its chain meanwhile gives itself away.
    for block in checked.blocks if window.first is None else (window.first, *checked.blocks):
        check_chain(block, chain.chain_id, chain.first_block_hash)
    stored = store.stored_blocks([block.height for block in window.edges])
    for block in window.edges:
        if block.height in stored:
            check_stored(block, stored[block.height])
    chain_break = check_neighbours(checked.blocks, {block.height: block for block in window.edges})
    refused: dict[int, str] = {}
    if chain_break is not None:
        checked = checked.below(chain_break)
        if (above := stored.get(chain_break.height)) is not None:
            refused = {
                block.height: chain_break.reason
                for block in checked.blocks
                if cannot_follow(stored_block(block), above) is not None
            }
            checked = checked.without(refused)
    written = Written(chain_break=checked.chain_break, refused=refused)
    _insert(chain, record, checked.blocks, checked.transactions, written)
    return written


def _insert(
    chain: Chain,
    record: Record,
    blocks: Sequence[BlockAnswer],
    transactions: Sequence[TransactionAnswer],
    written: Written,
) -> None:
    if not blocks:
        return
    first_hash = next((storable(block.hash) for block in blocks if block.height == 1), None)
    try:
        with transaction.atomic(durable=True):
            verify_leadership()
            store.insert_window(blocks, transactions)
            record(chain.chain_id, transactions)
            coverage = store.cover(spans_of([block.height for block in blocks]), first_hash)
            healed = store.end_accepted_gaps()
    except Error as error:
        if not divisible(error) or (len(blocks) == 1 and not blames_row(error)):
            raise
        if len(blocks) == 1:
            written.refused[blocks[0].height] = f"the database refuses it: {str(error).strip():.200}"
            return
        middle = blocks[len(blocks) // 2].height
        for low in (True, False):
            _insert(
                chain,
                record,
                [block for block in blocks if (block.height < middle) is low],
                [transaction for transaction in transactions if (transaction.block_height < middle) is low],
                written,
            )
        return
    if first_hash is not None:
        chain.first_block_hash = first_hash
    written.coverage = coverage
    written.blocks += len(blocks)
    written.transactions += len(transactions)
    written.healed += healed


def check_neighbours(blocks: Sequence[BlockAnswer], edges: Mapping[int, BlockAnswer]) -> ChainBreak | None:
    """Compare blocks with what is stored around them, so that two chains never stand side by side.

    Returns the break where both cannot be of one chain although the source has that very neighbour (`edges`, its blocks
    by height): then it is the source that serves two chains. Raises `WrongChain` for any other contradiction.
    """
    own = {block.height: stored_block(block) for block in blocks}
    for part in spans_of(sorted(own)):
        below, above = store.stored_neighbours(part)
        for lower, upper, neighbour in ((below, own[part.first], below), (own[part.last], above, above)):
            if lower is None or upper is None or neighbour is None or neighbour.height in own:
                continue
            if wrong := cannot_follow(lower, upper):
                reason = f"block {upper.height} does not link to what is stored: {wrong}"
                if neighbour.height in edges:
                    beside = upper.height == lower.height + 1
                    return ChainBreak(upper.height, reason, lower=None if beside else lower.height)
                raise WrongChain(reason)
    return None
