"""The questions asked of a tx-indexer, as GraphQL text.

Bounds are strict (`gt`, `lt`) and there is no `gte`; `gt: -1` matches nothing, so a window from 0 leaves it out.
Servers of different ages have different fields: what is in `OPTIONAL` may be dropped for one that does not know it.
"""

import re
from collections.abc import Collection, Mapping, Sequence

TIP = "{latestBlockHeight}"
DOORBELL = "subscription{getBlocks(where:{}){height}}"

_BLOCK = ("height", "hash", "time", "num_txs", "total_txs", "last_block_hash", "chain_id", "proposer_address_raw")
_TRANSACTION = ("index", "hash", "success", "block_height", "gas_wanted", "gas_used", "memo")
_MESSAGES: Mapping[str, Sequence[str]] = {
    "BankMsgSend": ("from_address", "to_address", "amount"),
    "MsgCall": ("caller", "send", "pkg_path", "func", "args"),
    "MsgAddPackage": ("creator",),
    "MsgRun": ("caller", "send"),
}
_PACKAGES = ("MsgAddPackage", "MsgRun")

OPTIONAL = frozenset(
    {"Block.proposer_address_raw", "TransactionResponse.error"}
    | {f"Transaction.{name}" for name in ("gas_wanted", "gas_used", "gas_fee", "memo", "messages")}
    | {f"{kind}.{name}" for kind, names in _MESSAGES.items() for name in names}
    | {f"{kind}.package" for kind in _PACKAGES}
    | set(_MESSAGES)
)
"""What the index can live without, as Type.field, or Type for a whole member of a union."""

_UNKNOWN = (
    re.compile(r"""Cannot query field ["'](?P<field>\w+)["'] on type ["'](?P<type>\w+)["']"""),
    re.compile(r"""Unknown type ["'](?P<type>\w+)["']"""),
    re.compile(r"""can never be of type ["'](?P<type>\w+)["']"""),
)


def unknown_field(error: str) -> str | None:
    """What a server's validation error says that it does not know, as Type.field or Type; None for other errors."""
    for pattern in _UNKNOWN:
        if found := pattern.search(error):
            named = found.groupdict()
            return f"{named['type']}.{named['field']}" if "field" in named else named["type"]
    return None


def blocks(
    first: int, last: int, without: Collection[str] = (), *, below: int | None = None, above: int | None = None
) -> str:
    """Blocks `first` to `last`, inclusive, by height, and as `first` block 1, which identifies the chain.

    `below` and `above`: heights of two more blocks, which come under these names. `without`: what the server does not
    know.
    """
    fields = _known("Block", _BLOCK, without)
    named = {"first": 1, "below": below, "above": above}
    single = [
        f"{name}:getBlocks(where:{{height:{{eq:{at}}}}}){{{fields}}}" for name, at in named.items() if at is not None
    ]
    window = f"getBlocks(where:{{height:{_bounds(first, last)}}},order:{{height:ASC}}){{{fields}}}"
    return f"{{{' '.join((*single, window))}}}"


def heights(first: int, last: int, *, descending: bool = False) -> str:
    """The heights from `first` to `last`, inclusive, of which the server has a block."""
    return f"{{{_heights(first, last, 'DESC' if descending else 'ASC')}}}"


def tip_and_heights(first: int, last: int) -> str:
    """The highest height by the server's own statement, and the heights from `first` to `last` that it has."""
    return f"{{latestBlockHeight {_heights(first, last, 'ASC')}}}"


def _heights(first: int, last: int, order: str) -> str:
    return f"heights:getBlocks(where:{{height:{_bounds(first, last)}}},order:{{height:{order}}}){{height}}"


def transactions(first: int, last: int, without: Collection[str] = (), *, block: int | None = None) -> str:
    """Transactions of blocks `first` to `last`, inclusive, by height and index; and `block`, the one at that height."""
    return _transactions(f"block_height:{_bounds(first, last)}", without, block)


def transactions_page(
    height: int, first_index: int, last_index: int, without: Collection[str] = (), *, block: int | None = None
) -> str:
    """Transactions `first_index` to `last_index`, inclusive, of one block; and `block`, as in `transactions`."""
    return _transactions(f"block_height:{{eq:{height}}},index:{_bounds(first_index, last_index)}", without, block)


def _transactions(where: str, without: Collection[str], block: int | None) -> str:
    parts = [_known("Transaction", _TRANSACTION, without)]
    if "Transaction.gas_fee" not in without:
        parts.append("gas_fee{amount denom}")
    if "Transaction.messages" not in without:
        parts.append(f"messages{{typeUrl route value{{__typename {_messages(without)}}}}}")
    # Position in the full list identifies an event, so every member is asked for by name, even those nobody reads.
    events = "events{__typename ... on GnoEvent{type pkg_path attrs{key value}}}"
    parts.append(f"response{{{_known('TransactionResponse', ('error',), without)} {events}}}")
    beside = ""
    if block is not None:
        beside = f" block:getBlocks(where:{{height:{{eq:{block}}}}}){{{_known('Block', _BLOCK, without)}}}"
    return f"{{getTransactions(where:{{{where}}},order:{{heightAndIndex:ASC}}){{{' '.join(parts)}}}{beside}}}"


def _messages(without: Collection[str]) -> str:
    members = []
    for kind, names in _MESSAGES.items():
        fields = _known(kind, names, without)
        if kind in _PACKAGES and f"{kind}.package" not in without:
            fields += " package{name path}"
        if kind not in without and fields:
            members.append(f"... on {kind}{{{fields}}}")
    return " ".join(members)


def _known(kind: str, names: Sequence[str], without: Collection[str]) -> str:
    return " ".join(name for name in names if f"{kind}.{name}" not in without)


def _bounds(first: int, last: int) -> str:
    return f"{{lt:{last + 1}}}" if first <= 0 else f"{{gt:{first - 1},lt:{last + 1}}}"
