"""The filters of each family of lists, read from a query string.

Each is a frozen dataclass whose defaults mean no filter: its repr names the list that a cursor belongs to.
"""

from dataclasses import dataclass
from datetime import datetime

from django.http import QueryDict

from balances.api import parameters
from balances.api.refusals import BadParameter

TYPES = ("mint", "burn", "transfer")
DIRECTIONS = ("in", "out")
ORDERS = ("desc", "asc")
MAX_SEARCH = 100
"""Characters."""


@dataclass(frozen=True, slots=True)
class When:
    """The moment that balances are asked of, instead of now: a height, or a time."""

    height: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A part of the chain, its ends inclusive; None: as far as there is something."""

    from_height: int | None = None
    to_height: int | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class TokenFilters:
    """`tokens`: spellings, as clients give them. `search`: a part of name, symbol or path, in any case."""

    tokens: tuple[str, ...] = ()
    search: str = ""
    standard: bool | None = None
    spelled_in: str = "tokenPath"
    when: When | None = None


@dataclass(frozen=True, slots=True)
class BalanceFilters:
    """Of accounts, of tokens, or both. `least`: the smallest amount, raw units.

    `spelled_in`: which parameter gave the tokens, should one of them be none.
    """

    addresses: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    least: int | None = None
    standard: bool | None = None
    include_zero: bool = False
    spelled_in: str = "token"
    when: When | None = None


@dataclass(frozen=True, slots=True)
class TransferFilters:
    """Heights and times are inclusive. `direction` and `counterparty` are as the accounts of `addresses` see it."""

    addresses: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    direction: str | None = None
    counterparty: str | None = None
    from_height: int | None = None
    to_height: int | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None
    least: int | None = None
    standard: bool | None = None
    ascending: bool = False
    spelled_in: str = "token"


def read_when(query: QueryDict) -> When | None:
    height, time = parameters.height(query, "height"), parameters.time(query, "time")
    if height is not None and time is not None:
        raise BadParameter("time", "given together with height", "Give one of them")
    return None if height is None and time is None else When(height, time)


def read_period(query: QueryDict) -> Period:
    return Period(
        parameters.height(query, "fromHeight"),
        parameters.height(query, "toHeight"),
        parameters.time(query, "fromTime"),
        parameters.time(query, "toTime"),
    )


def token_filters(query: QueryDict) -> TokenFilters:
    tokens = parameters.tokens(query, "token")
    return TokenFilters(
        tokens=tokens,
        spelled_in="token" if tokens else "tokenPath",  # unless it is used, cursors are those of older versions
        search=parameters.text(query, "search", MAX_SEARCH),
        standard=parameters.truth(query, "standard"),
    )


def balance_filters(query: QueryDict, *, address: str | None = None, token: str | None = None) -> BalanceFilters:
    """`address`, `token`: from the path, where the route has them there."""
    addresses, tokens, spelled_in = _whose(query, address, token)
    return BalanceFilters(
        addresses=addresses,
        tokens=tokens,
        least=parameters.amount(query, "minAmount"),
        standard=parameters.truth(query, "standard"),
        include_zero=parameters.word(query, "include", ("zero",)) is not None,
        spelled_in=spelled_in,
        when=read_when(query),
    )


def transfer_filters(query: QueryDict, *, address: str | None = None, token: str | None = None) -> TransferFilters:
    """`address`, `token`: from the path, where the route has them there."""
    addresses, tokens, spelled_in = _whose(query, address, token)
    direction = parameters.word(query, "direction", DIRECTIONS)
    counterparty = query.get("counterparty") or None
    for name, given in (("direction", direction), ("counterparty", counterparty)):
        if given is not None and not addresses:
            raise BadParameter(name, "given without an address", "It is about the accounts that address names")
    return TransferFilters(
        addresses=addresses,
        tokens=tokens,
        types=parameters.words(query, "type", TYPES),
        direction=direction,
        counterparty=None if counterparty is None else parameters.address(counterparty, "counterparty"),
        from_height=parameters.height(query, "fromHeight"),
        to_height=parameters.height(query, "toHeight"),
        from_time=parameters.time(query, "fromTime"),
        to_time=parameters.time(query, "toTime"),
        least=parameters.amount(query, "minAmount"),
        standard=parameters.truth(query, "standard"),
        ascending=parameters.word(query, "order", ORDERS) == "asc",
        spelled_in=spelled_in,
    )


def _whose(query: QueryDict, address: str | None, token: str | None) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Addresses, spellings of tokens, and the parameter that gave the latter; from the path, or from the query."""
    addresses = parameters.addresses(query, "address") if address is None else (parameters.address(address, "address"),)
    if token is None:
        return addresses, parameters.tokens(query, "token"), "token"
    return addresses, (parameters.token(token, "tokenPath"),), "tokenPath"
