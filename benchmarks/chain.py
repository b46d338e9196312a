"""Synthetic chains: rows rendered once, as a tx-indexer answers them, with right hashes, links and totals."""

import base64
import hashlib
import json
from dataclasses import dataclass, field

CHAIN_ID = "bench-1"
LIBRARY = "gno.land/p/demo/tokens/grc20"
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def digest(*parts: object) -> str:
    return base64.b64encode(hashlib.sha256(repr(parts).encode()).digest()).decode()


def address(number: int) -> str:
    """An address-shaped ledger key; its checksum is not right, and nothing in the pipeline looks at it."""
    payload = hashlib.sha256(b"%d" % number).digest()
    return "g1" + "".join(_ALPHABET[byte % 32] for byte in payload + payload[:6])


@dataclass
class Chain:
    """`blocks[h]` is block h's JSON; `transactions[h]` the list of JSON of its transactions."""

    blocks: list[bytes] = field(default_factory=list)
    transactions: list[list[bytes]] = field(default_factory=list)
    total: int = 0

    def grow(self, transactions: int, accounts: int = 1000) -> None:
        """Append a block with so many transactions, two transfers each, between `accounts` accounts."""
        height = len(self.blocks)
        self.total += transactions if height else 0
        before = digest("block", height - 1) if height > 1 else ""
        block = (
            f'{{"height":{height},"hash":"{digest("block", height) if height else ""}",'
            f'"time":"2026-01-{1 + height // 86400 % 28:02}T{height // 3600 % 24:02}:{height // 60 % 60:02}:'
            f'{height % 60:02}.123456789Z","num_txs":{transactions},"total_txs":{self.total},'
            f'"last_block_hash":"{before}","chain_id":"{CHAIN_ID}",'
            f'"proposer_address_raw":"g1d5fykjxpevm2phajkdg0qetc2c57gn3y87d8sn"}}'
        )
        self.blocks.append(block.encode())
        self.transactions.append([transaction(height, index, accounts) for index in range(transactions)])


def transaction(height: int, index: int, accounts: int) -> bytes:
    """A call that moves two tokens; the first time an account is seen it is minted to."""
    number = height * 7919 + index * 31
    caller, other = address(number % accounts), address((number // 3 + 1) % accounts)
    events = [_transfer(f"gno.land/r/bench/t{k}.T{k}.0000000", "" if k else caller, other, number + k) for k in (0, 1)]
    row = {
        "index": index,
        "hash": digest("transaction", height, index),
        "success": True,
        "block_height": height,
        "gas_wanted": 10000000,
        "gas_used": 859753,
        "gas_fee": {"amount": 1000000, "denom": "ugnot"},
        "memo": "",
        "messages": [
            {
                "typeUrl": "exec",
                "route": "vm",
                "value": {
                    "__typename": "MsgCall",
                    "caller": caller,
                    "send": "",
                    "pkg_path": "gno.land/r/bench/router",
                    "func": "Move",
                    "args": [other, str(number)],
                },
            }
        ],
        "response": {"error": "", "events": events},
    }
    return json.dumps(row, separators=(",", ":")).encode()


def _transfer(token: str, sender: str, recipient: str, amount: int) -> dict[str, object]:
    pairs = {"token": token, "from": sender, "to": recipient, "value": str(amount)}
    return {
        "__typename": "GnoEvent",
        "type": "Transfer",
        "pkg_path": LIBRARY,
        "attrs": [{"key": key, "value": value} for key, value in pairs.items()],
    }


def empty_blocks(number: int) -> Chain:
    chain = Chain()
    for _ in range(number):
        chain.grow(0)
    return chain


def full_blocks(number: int, transactions: int) -> Chain:
    chain = Chain()
    for _ in range(number):
        chain.grow(transactions)
    return chain
