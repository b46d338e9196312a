"""Recordings as other sources serve them: hard forks that go on counting, pruned stores, chains that were reset."""

from base64 import b64encode
from hashlib import sha256

from replay.recording import Recording


def begins_at(recording: Recording, first: int) -> Recording:
    """The chain of a hard fork: genesis at 0, and its first block, which has no predecessor, at `first`."""

    def raised(height: int) -> int:
        return height + first - 1 if height else 0

    blocks = [block | {"height": raised(block["height"])} for block in recording.blocks]
    rows = [row | {"block_height": raised(row["block_height"])} for row in recording.transactions]
    return Recording.from_rows(blocks, rows, recording.chain_id)


def pruned(recording: Recording, first: int, *, keep_genesis: bool = False) -> Recording:
    """The same chain from a source that has nothing below `first`, genesis included unless it is kept."""

    def kept(height: int) -> bool:
        return height >= first or (keep_genesis and height == 0)

    blocks = [block for block in recording.blocks if kept(block["height"])]
    rows = [row for row in recording.transactions if kept(row["block_height"])]
    return Recording.from_rows(blocks, rows, recording.chain_id)


def forked(recording: Recording, first: int, name: str = "other") -> Recording:
    """A chain that shares everything below `first` with the recording, and is another one from there on."""

    def renamed(value: str, height: int) -> str:
        if height < first or not value:
            return value
        return b64encode(sha256((name + value).encode()).digest()).decode()

    blocks = [
        block
        | {
            "hash": renamed(block["hash"], block["height"]),
            "last_block_hash": renamed(block["last_block_hash"], block["height"] - 1),
        }
        for block in recording.blocks
    ]
    rows = [
        row | ({"memo": "of the other chain"} if row["block_height"] >= first else {}) for row in recording.transactions
    ]
    return Recording.from_rows(blocks, rows, recording.chain_id)


def reset_at(recording: Recording, first: int) -> Recording:
    """What a source serves that lived through a reset: from `first` on another chain, which links only in itself."""
    other = forked(recording, 1)
    return Recording.from_rows(
        [*recording.blocks[:first], *other.blocks[first:]],
        [
            *(row for row in recording.transactions if row["block_height"] < first),
            *(row for row in other.transactions if row["block_height"] >= first),
        ],
        recording.chain_id,
    )
