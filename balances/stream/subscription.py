"""What a listener asks for: which transfers, from where on, and how amounts are written."""

from dataclasses import dataclass

from django.http import QueryDict

from balances.api.params import parsing
from balances.queries.errors import BadParameter, shown
from balances.stream import event_ids
from balances.stream.event_ids import Position, end_of

ALLOWED = ("address", "token", "fromHeight", "lastEventId", "amounts")
LAST_EVENT_ID = "Last-Event-ID"


@dataclass(frozen=True, slots=True)
class Filters:
    """Transfers from or to one of `addresses` and of one of `tokens`, each by a spelling; empty: all."""

    addresses: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ListRequest:
    """`start`: the position after which to begin, None for the present. `generation`: the one that the client knows."""

    wanted: Filters
    start: Position | None
    generation: int | None
    text_amounts: bool


def read_asked(query: QueryDict, last_event_id: str | None) -> ListRequest:
    """What a request with this query string and this header asks for. Raises `BadParameter`.

    The header wins over the query string: a browser that comes back asks for the same URL again, and says by the header
    how far it came.
    """
    parsing.check_names(query, ALLOWED)
    wanted = Filters(frozenset(parsing.addresses(query, "address")), frozenset(parsing.tokens(query, "token")))
    text_amounts = parsing.word(query, "amounts", ("string",)) is not None
    height = parsing.height(query, "fromHeight")
    given = query.get("lastEventId")
    if height is not None and given:
        raise BadParameter("fromHeight", "given together with lastEventId", "Give one of the two")
    start = None if height is None else end_of(height - 1)
    generation = None
    for name, text in (("lastEventId", given), (LAST_EVENT_ID, last_event_id)):
        if text:
            start, generation = _read_id(name, text)
    return ListRequest(wanted, start, generation, text_amounts)


def _read_id(name: str, text: str) -> tuple[Position, int | None]:
    try:
        return event_ids.read(text)
    except ValueError:
        allowed = "The id of an event of this stream, unchanged, as 485-0-1@0"
        raise BadParameter(name, f"{shown(text)} is not an id", allowed) from None
