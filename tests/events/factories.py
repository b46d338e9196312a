"""Events and messages for tests: read from the recordings, or written by hand in few words."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec

from events.outbox import store
from events.outbox.message import Packed, Packer
from events.parsing.grc20 import Attribute, Event
from tests.conftest import recorded

CHAIN = "making-1"
LIBRARY = "gno.land/p/demo/tokens/grc20"
TOKEN = "gno.land/r/demo/foo20.FOO.0000000"


class Placed(NamedTuple):
    """A recorded event of a successful transaction, and where it was."""

    height: int
    tx_index: int
    event_index: int
    memo: str
    event: Event


class Row(NamedTuple):
    """A transfer as the packer takes it, in short."""

    height: int
    tx_index: int
    event_index: int
    sender: str
    recipient: str
    amount: int
    token: str = TOKEN


@cache
def recorded_events(name: str) -> tuple[Placed, ...]:
    """Every event of every successful transaction of a recording, in chain order."""
    return tuple(_placed(recorded(name).transactions))


def _placed(transactions: Iterable[dict[str, Any]]) -> Iterator[Placed]:
    for row in transactions:
        if row["success"]:
            for index, event in enumerate(row["response"]["events"] or []):
                yield Placed(row["block_height"], row["index"], index, row["memo"], msgspec.convert(event, Event))


def recorded_event(name: str, height: int, event_index: int, tx_index: int = 0) -> Event:
    place = height, tx_index, event_index
    return next(placed.event for placed in recorded_events(name) if placed[:3] == place)


def event(emitter: str, kind: str, *pairs: tuple[str, str], **attributes: str) -> Event:
    """A GnoEvent. Attributes by name, with `from_` for "from"; or as pairs, where order or repetition matters."""
    named = [(key.rstrip("_"), value) for key, value in attributes.items()]
    return Event("GnoEvent", kind, emitter, [Attribute(key, value) for key, value in (*pairs, *named)])


def library_event(kind: str = "Transfer", **changed: str) -> Event:
    """A library's Transfer of 5 FOO from a to b, with some attributes changed."""
    attributes = {"token": TOKEN, "from_": "g1a", "to": "g1b", "value": "5"} | changed
    return event(LIBRARY, kind, **attributes)


def realm_event(kind: str = "Transfer", emitter: str = "gno.land/r/demo/foo20", **changed: str) -> Event:
    """A realm's own Transfer of 5 from a to b, with some attributes changed."""
    return event(emitter, kind, **({"from_": "g1a", "to": "g1b", "value": "5"} | changed))


def packed(rows: Iterable[Row], *, chain_id: str = CHAIN, max_bytes: int = 262_144) -> list[Packed]:
    packer = Packer(chain_id, max_bytes)
    for row in rows:
        packer.add_transfer(*row[:3], row.token, True, row.sender, row.recipient, row.amount)
    return list(packer.messages())


def put_messages(count: int, *, first_height: int = 1, chain_id: str = CHAIN) -> None:
    """Add messages to the outbox, each a mint of 1 to "g1a" at a height of its own."""
    for height in range(first_height, first_height + count):
        store.add(packed([Row(height, 0, 0, "", "g1a", 1)], chain_id=chain_id))


def mints(count: int, first_height: int = 1) -> list[Row]:
    """Mints of 1 to as many accounts, two at a height; about 80 bytes each in a message."""
    return [Row(first_height + n // 2, n % 2, 0, "", f"g1{first_height:05}{n:030}", 1) for n in range(count)]
