"""Stored event lists, decoded: fast where the JSON is ordinary, and still where its strings are not text."""

import json
from typing import Any

import msgspec

from events.grc20 import Event

_decode = msgspec.json.Decoder(list[Event] | None).decode


def decode_events(stored: Any) -> list[Event]:
    """The events of one transaction. `stored`: JSON bytes as fetched, or the list as read back from the database."""
    if not isinstance(stored, (bytes, bytearray, memoryview)):
        return msgspec.convert(stored, list[Event]) if stored else []
    try:
        return _decode(stored) or []
    except msgspec.DecodeError:
        # A lone surrogate escape is valid JSON and no valid text: only the standard library takes it.
        return msgspec.convert(json.loads(bytes(stored)) or [], list[Event])
