"""The filters of each family of lists.

Each is a frozen dataclass whose defaults mean no filter: its repr names the list that a cursor belongs to.
"""

from dataclasses import dataclass
from datetime import datetime

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
