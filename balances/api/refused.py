"""Refused events as the API answers them."""

from typing import Any

from django.http import QueryDict

from balances.api import parameters
from balances.api.asking import Slice
from balances.api.filters import ORDERS
from balances.api.pages import Page
from balances.api.refusals import BadParameter, shown
from balances.api.times import rfc3339
from blocks.storable import is_storable, storable
from events.grc20 import REASONS
from events.refused_search import Found, Wanted, search

MAX_TEXT_BYTES = 4096
"""The longest type that a chain lets an event have; its package paths are shorter."""


def refused_filters(query: QueryDict) -> Wanted:
    """Raises `BadParameter`."""
    return Wanted(
        reasons=parameters.words(query, "reason", REASONS),
        emitter=_text(query, "emitter"),
        type=_text(query, "type"),
        from_height=parameters.height(query, "fromHeight"),
        to_height=parameters.height(query, "toHeight"),
        ascending=parameters.word(query, "order", ORDERS) == "asc",
    )


def refused_events(wanted: Wanted, part: Slice) -> Page:
    """The refused events that fulfil every filter."""
    found, last = search(wanted, part.limit, part.after)
    return Page([row(event) for event in found], last)


def row(event: Found) -> dict[str, Any]:
    """A row of the answer; what of its attributes is no Unicode is spelled out, as in the columns that are text."""
    attributes = event.attributes
    return {
        "blockHeight": event.height,
        "blockTime": None if event.block_time is None else rfc3339(event.block_time),
        "txHash": event.tx_hash,
        "txIndex": event.tx_index,
        "eventIndex": event.event_index,
        "emitter": event.emitter,
        "type": event.type,
        "attributes": attributes and [{"key": storable(key), "value": storable(value)} for key, value in attributes],
        "reason": event.reason,
        "detail": event.detail,
    }


def _text(query: QueryDict, name: str) -> str | None:
    text = query.get(name) or None
    if text is not None and (not is_storable(text) or len(text.encode()) > MAX_TEXT_BYTES):
        raise BadParameter(name, f"{shown(text)} is not in any event", f"Text of at most {MAX_TEXT_BYTES} bytes")
    return text
