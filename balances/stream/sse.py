"""Events as they go over the wire (text/event-stream)."""

import json
from typing import Any

from balances.indexed_height import IndexedHeight
from balances.stream.event_ids import Position, written
from balances.stream.pages import Transfer

RETRY_MILLISECONDS = 3_000
RETRY = f"retry: {RETRY_MILLISECONDS}\n".encode()
"""How long a browser waits before it comes back; goes in front of the first event."""
COMMENT = b":\n\n"
"""Nothing, for proxies that would take silence for a broken connection."""


def transfer(moved: Transfer, generation: int, *, text_amounts: bool) -> bytes:
    """The members are those of a row of /tokens/transfer-history."""
    body = moved.body
    if text_amounts:
        body = body | {"amount": str(body["amount"])}
    return _event("transfer", moved.position, generation, body)


def indexed_height(reached: IndexedHeight, position: Position, generation: int) -> bytes:
    """How far the index is, for a listener that is sent everything up to `position`."""
    return _event("progress", position, generation, _truth(reached))


def corrected(reached: IndexedHeight, position: Position) -> bytes:
    """Rows of heights that were indexed before have changed: what was sent of them may be wrong now."""
    return _event("corrected", position, reached.generation, _truth(reached))


def _truth(reached: IndexedHeight) -> dict[str, Any]:
    return {
        "chainId": reached.chain_id,
        "indexedHeight": reached.height,
        "includesUpTo": reached.includes_up_to,
        "acceptedGaps": reached.accepted,
        "firstHeight": reached.first_height,
        "generation": reached.generation,
    }


def _event(name: str, position: Position, generation: int, data: dict[str, Any]) -> bytes:
    # JSON has no line breaks of its own, and escapes those in strings.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"id: {written(position, generation)}\nevent: {name}\ndata: {text}\n\n".encode()
