"""Stored event lists, decoded: fast where the JSON is ordinary, and still where it is not what it should be."""

import json
import logging
from typing import Any

import msgspec

from events.parsing.grc20 import Attribute, Event

logger = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(list[Event] | None).decode


def decode_events(stored: Any) -> list[Event]:
    """The events of one transaction, in their places. `stored`: JSON bytes as fetched, or the list as read back.

    Never raises: one event of a shape that no server should send is read as far as it goes, and refused or passed over
    like any other. A list that is no list at all is logged.
    """
    if isinstance(stored, (bytes, bytearray, memoryview)):
        try:
            return _decode(stored) or []
        except msgspec.MsgspecError:
            # A lone surrogate escape is valid JSON and no valid text: only the standard library takes it.
            stored = _loads(bytes(stored))
    if stored is None:
        return []
    if not isinstance(stored, list):
        logger.error("Events are not a list: none are read found=%.80r", stored)
        return []
    return [_event(one) for one in stored]


def _loads(stored: bytes) -> Any:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return stored


def _event(one: Any) -> Event:
    try:
        return msgspec.convert(one, Event)
    except msgspec.ValidationError:
        pass
    if not isinstance(one, dict):
        return Event()
    attributes = one.get("attrs")
    return Event(
        kind=_text(one.get("__typename")),
        type=_text(one.get("type")),
        pkg_path=_text(one.get("pkg_path")),
        attrs=[_attribute(each) for each in attributes] if isinstance(attributes, list) else None,
    )


def _attribute(one: Any) -> Attribute:
    return Attribute(_text(one.get("key")), _text(one.get("value"))) if isinstance(one, dict) else Attribute("", "")


def _text(value: Any) -> str:
    """A string as it is; what is none is empty, which nothing that moves a balance can be."""
    return value if isinstance(value, str) else ""
