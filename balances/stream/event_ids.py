"""Where a listener is in the chain's order, and how that is written as the id of an event.

`485-0-1@2`: everything up to the transfer of event 1 of transaction 0 of block 485 was sent; `485@2`: everything of
height 485 and below. The number behind the @ is the generation, which counts corrections of the past: a listener that
comes back with an older one is told that there were some.
"""

import re
from typing import NamedTuple

from postgres.limits import MAX_INT32

_ID = re.compile(
    r"(?P<height>-1|[0-9]{1,18})(-(?P<tx>[0-9]{1,10})-(?P<event>[0-9]{1,10}))?(@(?P<generation>[0-9]{1,18}))?", re.ASCII
)


class Position(NamedTuple):
    """A place in the chain's order: everything up to it, itself included."""

    height: int
    tx_index: int
    event_index: int


def end_of(height: int) -> Position:
    """The place after everything of `height`; −1 is before everything."""
    return Position(height, MAX_INT32, MAX_INT32)


def written(position: Position, generation: int) -> str:
    """The id of an event after which a listener is at `position`."""
    height, tx_index, event_index = position
    place = str(height) if position == end_of(height) else f"{height}-{tx_index}-{event_index}"
    return f"{place}@{generation}"


def read(text: str) -> tuple[Position, int | None]:
    """The position and the generation in an id; None where it names no generation. Raises `ValueError`."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(text)
    height, generation = int(found["height"]), found["generation"]
    position = end_of(height)
    if found["tx"] is not None:
        position = Position(height, int(found["tx"]), int(found["event"]))
        if max(position[1:]) > MAX_INT32 or height < 0:
            raise ValueError(text)
    return position, None if generation is None else int(generation)
