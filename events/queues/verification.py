"""What a queue message says, and which row of the outbox it is the copy of."""

from collections.abc import Iterable
from dataclasses import dataclass

from events.outbox import store
from events.outbox.message import Message, MessageInvalid, decode
from events.outbox.store import Standing
from events.queues.base import Delivery


@dataclass(frozen=True, slots=True)
class Copy:
    """`standing`: what the outbox says of it, None when it names no row. `row`: the row whose words it holds."""

    said: Message | MessageInvalid
    standing: Standing | None
    row: int | None


def identify(deliveries: Iterable[Delivery], chain_id: str) -> dict[Delivery, Copy]:
    """Read `deliveries` and look them up in the outbox, in one statement.

    A body that names no row is looked up by the label that its sender put beside it. Anybody can write a label, so it
    counts only where the row that it names waits and has the very same body.
    """
    read = {delivery: _read(delivery, chain_id) for delivery in deliveries}
    named = {
        delivery: said.outbox_id if isinstance(said, MessageInvalid) else said.id for delivery, said in read.items()
    }
    asked = {}
    for delivery, number in named.items():
        row = delivery.label if number is None else number
        if delivery.outbox_id is None and row is not None:
            asked[delivery] = row
    answers = store.standings([(row, delivery.body) for delivery, row in asked.items()])
    found = {delivery: Copy(said, None, None) for delivery, said in read.items()}
    for (delivery, row), standing in zip(asked.items(), answers, strict=True):
        if named[delivery] is not None or standing is Standing.PENDING:
            known = standing in (Standing.PENDING, Standing.APPLIED)
            found[delivery] = Copy(read[delivery], standing, row if known else None)
    for delivery, said in read.items():
        if delivery.outbox_id is not None:
            # It was read from the row itself, which is locked: only its number can be another's.
            own = named[delivery] == delivery.outbox_id
            found[delivery] = Copy(said, Standing.PENDING if own else Standing.DIFFERENT, delivery.outbox_id)
    return found


def _read(delivery: Delivery, chain_id: str) -> Message | MessageInvalid:
    try:
        return decode(delivery.body, chain_id)
    except MessageInvalid as invalid:
        return invalid
