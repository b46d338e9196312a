"""The filters of each family of lists, read from a query string."""

import re
from datetime import timedelta

from django.http import QueryDict

from balances.api.params import parsing
from balances.queries.errors import BadParameter, shown
from balances.queries.filters import (
    DIRECTIONS,
    MAX_SEARCH,
    ORDERS,
    TYPES,
    BalanceFilters,
    Period,
    TokenFilters,
    TransferFilters,
    When,
)
from balances.queries.series import Interval
from events.parsing.grc20 import REASONS
from events.refused.search import RefusedEventFilters
from postgres.text import is_storable

MAX_TEXT_BYTES = 4096
"""The longest type that a chain lets an event have; its package paths are shorter."""

_INTERVAL = re.compile(r"([1-9][0-9]{0,8})([smhdw]?)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def read_when(query: QueryDict) -> When | None:
    height, time = parsing.height(query, "height"), parsing.time(query, "time")
    if height is not None and time is not None:
        raise BadParameter("time", "given together with height", "Give one of them")
    return None if height is None and time is None else When(height, time)


def read_period(query: QueryDict) -> Period:
    return Period(
        parsing.height(query, "fromHeight"),
        parsing.height(query, "toHeight"),
        parsing.time(query, "fromTime"),
        parsing.time(query, "toTime"),
    )


def token_filters(query: QueryDict) -> TokenFilters:
    tokens = parsing.tokens(query, "token")
    return TokenFilters(
        tokens=tokens,
        spelled_in="token" if tokens else "tokenPath",  # unless it is used, cursors are those of older versions
        search=parsing.text(query, "search", MAX_SEARCH),
        standard=parsing.truth(query, "standard"),
    )


def balance_filters(query: QueryDict, *, address: str | None = None, token: str | None = None) -> BalanceFilters:
    """`address`, `token`: from the path, where the route has them there."""
    addresses, tokens, spelled_in = _whose(query, address, token)
    return BalanceFilters(
        addresses=addresses,
        tokens=tokens,
        least=parsing.amount(query, "minAmount"),
        standard=parsing.truth(query, "standard"),
        include_zero=parsing.word(query, "include", ("zero",)) is not None,
        spelled_in=spelled_in,
        when=read_when(query),
    )


def transfer_filters(query: QueryDict, *, address: str | None = None, token: str | None = None) -> TransferFilters:
    """`address`, `token`: from the path, where the route has them there."""
    addresses, tokens, spelled_in = _whose(query, address, token)
    direction = parsing.word(query, "direction", DIRECTIONS)
    counterparty = query.get("counterparty") or None
    for name, given in (("direction", direction), ("counterparty", counterparty)):
        if given is not None and not addresses:
            raise BadParameter(name, "given without an address", "It is about the accounts that address names")
    return TransferFilters(
        addresses=addresses,
        tokens=tokens,
        types=parsing.words(query, "type", TYPES),
        direction=direction,
        counterparty=None if counterparty is None else parsing.address(counterparty, "counterparty"),
        from_height=parsing.height(query, "fromHeight"),
        to_height=parsing.height(query, "toHeight"),
        from_time=parsing.time(query, "fromTime"),
        to_time=parsing.time(query, "toTime"),
        least=parsing.amount(query, "minAmount"),
        standard=parsing.truth(query, "standard"),
        ascending=parsing.word(query, "order", ORDERS) == "asc",
        spelled_in=spelled_in,
    )


def _whose(query: QueryDict, address: str | None, token: str | None) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Addresses, spellings of tokens, and the parameter that gave the latter; from the path, or from the query."""
    addresses = parsing.addresses(query, "address") if address is None else (parsing.address(address, "address"),)
    if token is None:
        return addresses, parsing.tokens(query, "token"), "token"
    return addresses, (parsing.token(token, "tokenPath"),), "tokenPath"


def refused_filters(query: QueryDict) -> RefusedEventFilters:
    """Parse the filters of the list of refused events. Raises `BadParameter`."""
    return RefusedEventFilters(
        reasons=parsing.words(query, "reason", REASONS),
        emitter=_text(query, "emitter"),
        type=_text(query, "type"),
        from_height=parsing.height(query, "fromHeight"),
        to_height=parsing.height(query, "toHeight"),
        ascending=parsing.word(query, "order", ORDERS) == "asc",
    )


def read_interval(query: QueryDict) -> Interval | None:
    """The parameter `interval`; None when it is not given."""
    text = query.get("interval")
    if text is None:
        return None
    read = _INTERVAL.fullmatch(text)
    if read is None:
        raise BadParameter(
            "interval",
            f"{shown(text)} is not an interval",
            "So many blocks, as 1000, or a time, as 90s, 15m, 1h, 1d or 1w",
        )
    number, unit = int(read[1]), read[2]
    if not unit:
        return Interval(blocks=number)
    try:
        return Interval(time=timedelta(seconds=number * _SECONDS[unit]))
    except OverflowError:
        return Interval(time=timedelta.max)


def _text(query: QueryDict, name: str) -> str | None:
    text = query.get(name) or None
    if text is not None and (not is_storable(text) or len(text.encode()) > MAX_TEXT_BYTES):
        raise BadParameter(name, f"{shown(text)} is not in any event", f"Text of at most {MAX_TEXT_BYTES} bytes")
    return text
