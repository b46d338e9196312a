"""The questions asked of a tx-indexer, as GraphQL text: only fields that servers of every age have.

Bounds are strict (`gt`, `lt`) and there is no `gte`; `gt: -1` matches nothing, so a window from 0 leaves it out.
"""

TIP = "{latestBlockHeight}"

_BLOCK = "height hash time num_txs total_txs last_block_hash chain_id proposer_address_raw"

# Position in the full list identifies an event, so every member is asked for by name, even those nobody reads.
_TRANSACTION = """
index hash success block_height gas_wanted gas_used gas_fee{amount denom} memo
messages{typeUrl route value{__typename
 ... on BankMsgSend{from_address to_address amount}
 ... on MsgCall{caller send pkg_path func args}
 ... on MsgAddPackage{creator package{name path}}
 ... on MsgRun{caller send package{name path}}}}
response{error events{__typename ... on GnoEvent{type pkg_path attrs{key value}}}}
"""

DOORBELL = "subscription{getBlocks(where:{}){height}}"


def blocks(first: int, last: int) -> str:
    """Blocks `first` to `last`, inclusive, by height."""
    return f"{{getBlocks(where:{{height:{_bounds(first, last)}}},order:{{height:ASC}}){{{_BLOCK}}}}}"


def transactions(first: int, last: int) -> str:
    """Transactions of blocks `first` to `last`, inclusive, by height and index."""
    return _transactions(f"block_height:{_bounds(first, last)}")


def transactions_page(height: int, first_index: int, last_index: int) -> str:
    """Transactions `first_index` to `last_index`, inclusive, of one block."""
    return _transactions(f"block_height:{{eq:{height}}},index:{_bounds(first_index, last_index)}")


def _transactions(where: str) -> str:
    return f"{{getTransactions(where:{{{where}}},order:{{heightAndIndex:ASC}}){{{_TRANSACTION}}}}}"


def _bounds(first: int, last: int) -> str:
    return f"{{lt:{last + 1}}}" if first <= 0 else f"{{gt:{first - 1},lt:{last + 1}}}"
