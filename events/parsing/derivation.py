"""What the events of stored transactions say, by the rules of a profile: the one way from a transaction to the ledger.

Recording new transactions and reading old ones again both go through here, so they cannot differ.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from events.models import RefusedEvent
from events.parsing.decoding import decode_events
from events.parsing.grc20 import Event, Movement, NewToken, Refusal, classify
from events.parsing.profiles import Profile
from postgres.text import storable


class RecordedTransaction(Protocol):
    """What is read of a transaction; `events` is the JSON list as stored."""

    @property
    def block_height(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def success(self) -> bool: ...
    @property
    def events(self) -> Any: ...


class Derived(NamedTuple):
    """What one event says, and where it is; `event_index` counts all events of the transaction."""

    height: int
    tx_index: int
    event_index: int
    said: Movement | NewToken | Refusal
    event: Event


def derive(transactions: Iterable[RecordedTransaction], profile: Profile) -> Iterator[Derived]:
    """Every event that looks like a token event, in the order of `transactions`; never raises for what one holds."""
    for transaction in transactions:
        # A failed transaction moves nothing, whatever a server may say it emitted.
        if transaction.success:
            for index, event in enumerate(decode_events(transaction.events)):
                said = classify(event, profile)
                if said is not None:
                    yield Derived(transaction.block_height, transaction.index, index, said, event)


def refused_event(one: Derived, refusal: Refusal) -> RefusedEvent:
    """The row, not saved, that keeps a refused event: attributes to the letter, the rest as text can hold it."""
    return RefusedEvent(
        block_height=one.height,
        tx_index=one.tx_index,
        event_index=one.event_index,
        emitter=storable(one.event.pkg_path or ""),
        type=storable(one.event.type or ""),
        attributes=None if one.event.attrs is None else [[a.key, a.value] for a in one.event.attrs],
        reason=refusal.reason,
        detail=storable(refusal.detail),
    )
