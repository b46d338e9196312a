"""Refused events as the API answers them."""

from typing import Any

from balances.queries.block_times import rfc3339
from balances.queries.page import Page, PageRequest
from events.refused.search import Found, RefusedEventFilters, search
from postgres.text import storable


def refused_events(filters: RefusedEventFilters, part: PageRequest) -> Page:
    """The refused events that fulfil every filter."""
    found, last = search(filters, part.limit, part.after)
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
