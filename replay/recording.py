"""Recordings: blocks and transactions of one chain, as a tx-indexer answered them, in the order of their heights."""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
"""One block, transaction, message or event: a JSON object with the field names of the wire."""


class RecordingError(ValueError):
    """A recording cannot be used; the message names the file and the line (or the row) and what is wrong there."""


@dataclass(frozen=True)
class Recording:
    """Blocks and transactions of one chain. Build it with :func:`load_recording` or :meth:`from_rows`.

    ``blocks`` ascend by height, ``transactions`` by (height, index); both hold the rows as recorded, so fields may be
    missing. Heights may have holes (a chain that started above block 1, a server that lost blocks).

    Strings are served as they are. A lone surrogate such as ``"\\ud800"`` goes out as the JSON escape ``\\ud800``,
    NUL as ``\\u0000``; the 128 surrogates U+DC80 to U+DCFF stand for raw bytes, as in Python's ``surrogateescape``:
    ``b"\\xff\\xfe".decode("utf-8", "surrogateescape")`` in a memo puts the two bytes FF FE, which are no UTF-8, into
    the body, as a real tx-indexer does.
    """

    chain_id: str
    blocks: Sequence[Row]
    transactions: Sequence[Row]
    heights: Sequence[int] = field(repr=False)
    transaction_heights: Sequence[int] = field(repr=False)
    by_hash: dict[str, int] = field(repr=False)
    """Position in ``transactions`` of the last transaction with a hash (hashes are not unique on real chains)."""

    @classmethod
    def from_rows(cls, blocks: Iterable[Row], transactions: Iterable[Row], chain_id: str | None = None) -> Recording:
        """Build a recording in memory; rows may come in any order.

        ``chain_id`` is only a label here (default: that of the first block, else ""): answers carry each block's own.
        Raises :class:`RecordingError` for a block without ``height``, a transaction without ``block_height`` or
        ``index``, and for two rows with the same key.
        """
        by_height = _by_key(blocks, ("height",), "block")
        by_place = _by_key(transactions, ("block_height", "index"), "transaction")
        ordered = list(by_place.values())
        if chain_id is None:
            chain_id = str(next(iter(by_height.values()), {}).get("chain_id", ""))
        return cls(
            chain_id=chain_id,
            blocks=list(by_height.values()),
            transactions=ordered,
            heights=[height for (height,) in by_height],
            transaction_heights=[height for height, _index in by_place],
            by_hash={row.get("hash") or "": position for position, row in enumerate(ordered)},
        )

    def transactions_at(self, height: int) -> Sequence[Row]:
        """The transactions of one block, by index; empty when it has none."""
        return self.transactions[self.transactions_below(height) : self.transactions_below(height + 1)]

    def transactions_below(self, height: int) -> int:
        """How many transactions are in blocks under ``height``."""
        return bisect_left(self.transaction_heights, height)

    def truncated(self, blocks: int) -> Recording:
        """The same chain with its first ``blocks`` blocks only."""
        kept = self.blocks[:blocks]
        end = self.transactions_below(kept[-1]["height"] + 1) if kept else 0
        return Recording.from_rows(kept, self.transactions[:end], self.chain_id)

    def as_other_chain(self, chain_id: str = "other-chain") -> Recording:
        """The same traffic on a chain of another name: every hash differs, ``last_block_hash`` still links blocks."""
        blocks = [
            block
            | {
                "chain_id": chain_id,
                "hash": _other_hash(block.get("hash"), chain_id),
                "last_block_hash": _other_hash(block.get("last_block_hash"), chain_id),
                "txs": [tx | {"hash": _other_hash(tx.get("hash"), chain_id)} for tx in block.get("txs") or []],
            }
            for block in self.blocks
        ]
        transactions = [row | {"hash": _other_hash(row.get("hash"), chain_id)} for row in self.transactions]
        return Recording.from_rows(blocks, transactions, chain_id)


def load_recording(folder: Path | str) -> Recording:
    """Read ``blocks.jsonl``, ``transactions.jsonl`` and, if there, ``chain.json`` of a folder.

    Raises :class:`RecordingError` when a file is missing or a line is not what it should be.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordingError(f"{folder}: no such folder; a recording is a folder with blocks.jsonl, transactions.jsonl")
    chain_id: str | None = None
    chain_file = folder / "chain.json"
    if chain_file.is_file():
        try:
            chain = json.loads(chain_file.read_bytes())
        except ValueError as error:
            raise RecordingError(f"{chain_file}: not JSON: {error}") from error
        if not isinstance(chain, dict) or not isinstance(chain.get("chain_id", ""), str):
            raise RecordingError(f"{chain_file}: wanted an object with a string chain_id")
        chain_id = chain.get("chain_id")
    blocks = _lines(folder / "blocks.jsonl", ("height",))
    transactions = _lines(folder / "transactions.jsonl", ("block_height", "index"))
    try:
        return Recording.from_rows(blocks, transactions, chain_id)
    except RecordingError as error:
        raise RecordingError(f"{folder}: {error}") from error


def _lines(path: Path, keys: tuple[str, ...]) -> Iterator[Row]:
    try:
        lines = path.open("rb")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from error
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                raise RecordingError(f"{path}, line {number}: not JSON: {error}") from error
            complaint = _complaint(row, keys)
            if complaint:
                raise RecordingError(f"{path}, line {number}: {complaint}")
            yield row


def _by_key(rows: Iterable[Row], keys: tuple[str, ...], what: str) -> dict[tuple[int, ...], Row]:
    found: dict[tuple[int, ...], Row] = {}
    for number, row in enumerate(rows, start=1):
        complaint = _complaint(row, keys)
        if complaint:
            raise RecordingError(f"{what} {number}: {complaint}")
        key = tuple(row[name] for name in keys)
        if key in found:
            place = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
            raise RecordingError(f"{what} {number}: {place} is there twice")
        found[key] = row
    return dict(sorted(found.items()))


def _complaint(row: object, keys: tuple[str, ...]) -> str:
    if not isinstance(row, dict):
        return "wanted a JSON object"
    for name in keys:
        value = row.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return f"wanted {name}, an integer of 0 or more, found {value!r}"
    return ""


def _other_hash(value: object, chain_id: str) -> str:
    # The empty hash of genesis stays empty: real servers answer "" there on every chain.
    if not value:
        return ""
    return b64encode(hashlib.sha256(f"{chain_id}/{value}".encode("utf-8", "surrogatepass")).digest()).decode()
