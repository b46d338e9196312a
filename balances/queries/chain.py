"""Transactions and blocks as they are stored, with the transfers and the refused events in them. SQL lives here."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from balances.indexed_height import read_indexed_height
from balances.queries import refused_events, transfers
from balances.queries.block_times import rfc3339
from balances.queries.errors import NotStored
from balances.queries.page import Page, PageRequest, page_of
from blocks.models import AcceptedGap, Block
from events.refused import search

TRANSACTIONS = 10
"""Transactions of one hash on a page: hashes are not unique on real chains."""
SHOWN = 100
"""Transfers, and refused events, that are shown with one transaction."""

Rows = dict[tuple[int, int], list[dict[str, Any]]]
"""Rows by the transaction that they are of: (height, index)."""

_TRANSACTIONS = """
SELECT block_height, index, transactions.hash, success, gas_wanted, gas_used, gas_fee, memo, error, blocks.time
FROM transactions LEFT JOIN blocks ON blocks.height = block_height
WHERE transactions.hash = %(hash)s AND (block_height, index) < (%(height)s, %(index)s)
ORDER BY block_height DESC, index DESC LIMIT %(limit)s
"""
_ABOVE_ALL = 2**63 - 1, 0


def transactions(tx_hash: str, part: PageRequest) -> Page:
    """The transactions with this hash, newest first, `TRANSACTIONS` at most; raises `NotStored` when there is none.

    Each has `transfers` and `refusedEvents`, one more than `SHOWN` of them where there are more.
    """
    limit = min(part.limit, TRANSACTIONS)
    height, index = part.after or _ABOVE_ALL
    with connection.cursor() as cursor:
        cursor.execute(_TRANSACTIONS, {"hash": tx_hash, "height": height, "index": index, "limit": limit + 1})
        page = page_of([_transaction(*row) for row in cursor.fetchall()], limit, _place)
    if not page.rows and part.after is None:
        raise _not_stored(f"There is no transaction {tx_hash} in the blocks that are stored")
    places = [_place(row) for row in page.rows]
    moved = _by_transaction(transfers.of_transactions(places, SHOWN + 1))
    kept = _by_transaction([refused_events.row(event) for event in search.of_transactions(places, SHOWN + 1)])
    for row, place in zip(page.rows, places, strict=True):
        row |= {"transfers": moved.get(place, []), "refusedEvents": kept.get(place, [])}
    return page


def _transaction(
    height: int, index: int, tx_hash: str, success: bool, wanted: int, used: int, fee: str, memo: str, error: str,
    time: Any,
) -> dict[str, Any]:  # fmt: skip
    return {
        "txHash": tx_hash,
        "blockHeight": height,
        "blockTime": None if time is None else rfc3339(time),
        "txIndex": index,
        "success": success,
        "gasWanted": wanted,
        "gasUsed": used,
        "gasFee": fee,
        "memo": memo,
        "error": error,
    }


def _place(row: dict[str, Any]) -> tuple[int, int]:
    return row["blockHeight"], row["txIndex"]


def _by_transaction(rows: Sequence[dict[str, Any]]) -> Rows:
    found: Rows = {}
    for row in rows:
        found.setdefault(_place(row), []).append(row)
    return found


def block(height: int) -> dict[str, Any]:
    """The block at `height`. Raises `NotStored`."""
    found = Block.objects.filter(height=height).first()
    if found is None:
        gap = AcceptedGap.objects.filter(first_height__lte=height, last_height__gte=height).first()
        if gap is None:
            raise _not_stored(f"Block {height} is not stored")
        raise _not_stored(f"Block {height} is left out for good, for no server has it ({gap.reason})")
    return {
        "height": found.height,
        "hash": found.hash,
        "lastBlockHash": found.last_block_hash,
        "time": rfc3339(found.time),
        "numTxs": found.num_txs,
        "totalTxs": found.total_txs,
        "proposerAddress": found.proposer_address,
    }


def _not_stored(what: str) -> NotStored:
    indexed_height = read_indexed_height()
    return NotStored(
        f"{what}. Stored without a gap up to height {indexed_height.contiguous}, "
        f"indexed up to {indexed_height.height}; the chain is at {indexed_height.tip}.",
        indexed_height.height,
    )
