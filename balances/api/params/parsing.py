"""One parameter at a time, read from a query string and checked; everything else is refused by name."""

import re
from collections.abc import Collection
from datetime import UTC, datetime

from django.http import QueryDict

from balances import token_spellings
from balances.api.params.addresses import is_address
from balances.models import MAX_AMOUNT
from balances.queries.errors import BadParameter, shown
from events.parsing.grc20 import MAX_TOKEN_BYTES
from postgres.limits import MAX_INT64
from postgres.text import is_storable

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_SEVERAL = 20
"""Values in one parameter that takes several, comma-separated."""
MAX_HEIGHT = MAX_INT64 - 1
"""One more can be added to it."""
REPEATED = "token"
"""The one parameter that may be repeated: a comma may be part of a token."""
FORMAT = "format"
"""Django REST framework's own parameter: which renderer answers."""

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)


def check_names(query: QueryDict, allowed: Collection[str]) -> None:
    """Raise `BadParameter` for a parameter that the route does not have, or that is given more than once.

    `REPEATED` alone may be.
    """
    for name, values in query.lists():
        if name not in allowed and name != FORMAT:
            raise BadParameter(shown(name), "there is no such parameter here", f"Allowed are {', '.join(allowed)}")
        if len(values) > 1 and name != REPEATED:
            raise BadParameter(name, f"given {len(values)} times", "Give it once")


def whole(query: QueryDict, name: str, least: int, most: int) -> int | None:
    """A whole number from `least` to `most`; None when it is not given."""
    text = query.get(name)
    return None if text is None else whole_of(text, name, least, most)


def whole_of(text: str, name: str, least: int, most: int) -> int:
    """The whole number in `text`, from `least` to `most`."""
    if len(text) > len(str(most)) or not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise BadParameter(name, f"{shown(text)} is not a {_spoken(name)}", f"A whole number from {least} to {most}")
    return int(text)


def height(query: QueryDict, name: str) -> int | None:
    return whole(query, name, 0, MAX_HEIGHT)


def amount(query: QueryDict, name: str) -> int | None:
    return whole(query, name, 0, MAX_AMOUNT)


def time(query: QueryDict, name: str) -> datetime | None:
    """A moment, RFC 3339 or seconds since 1970, to the microsecond (what is finer is cut off); None: not given."""
    text = query.get(name)
    if text is None:
        return None
    try:
        if _UNIX_SECONDS.fullmatch(text):
            seconds, _, fraction = text.partition(".")
            return datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(fraction[:6].ljust(6, "0")))
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # the 30th of February, or the year 10000
    raise BadParameter(
        name,
        f"{shown(text)} is not a time",
        "RFC 3339, as 2026-08-07T12:00:00Z (a + is written %2B), or seconds since 1970, as 1786104000",
    )


def word(query: QueryDict, name: str, words: Collection[str]) -> str | None:
    """One of `words`; None when it is not given."""
    text = query.get(name)
    if text is not None and text not in words:
        known = " or ".join(f"{name}={each}" for each in words)
        raise BadParameter(name, f"{shown(text)} is not known", f"Leave it out, or {known}")
    return text


def words(query: QueryDict, name: str, known: Collection[str]) -> tuple[str, ...]:
    """Some of `known`, comma-separated; empty when it is not given."""
    text = query.get(name)
    given = () if text is None else tuple(text.split(","))
    for each in given:
        if each not in known:
            raise BadParameter(name, f"{shown(each)} is not known", f"One or several of {','.join(known)}")
    return tuple(sorted(set(given)))


def truth(query: QueryDict, name: str) -> bool | None:
    text = word(query, name, ("true", "false"))
    return None if text is None else text == "true"


def text(query: QueryDict, name: str, most: int) -> str:
    """Any text of at most `most` characters; empty when it is not given."""
    given = query.get(name, "")
    if len(given) > most or not is_storable(given):
        raise BadParameter(name, f"{shown(given)} cannot be looked for", f"A text of at most {most} characters")
    return given


def address(text: str, name: str) -> str:
    """`text`, when it is an address."""
    if not is_address(text):
        raise BadParameter(
            name,
            f"{shown(text)} is not an address",
            "An address is bech32 with a valid checksum and 20 bytes, as g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5",
        )
    return text


def addresses(query: QueryDict, name: str) -> tuple[str, ...]:
    """Addresses, comma-separated, each once and sorted; empty when there is none."""
    return tuple(sorted({address(text, name) for text in _several(query, name)}))


def token(text: str, name: str) -> str:
    """`text`, when it may be a spelling of a token."""
    size = len(text.encode())
    if not text.strip() or size > MAX_TOKEN_BYTES or not is_storable(text):
        wrong = f"{size} bytes" if size > MAX_TOKEN_BYTES else f"{shown(text)} is not a token"
        raise BadParameter(name, wrong, f"{token_spellings.ALLOWED}. It has at most {MAX_TOKEN_BYTES} bytes")
    return text


def tokens(query: QueryDict, name: str) -> tuple[str, ...]:
    """Spellings of tokens, each once and sorted; empty when there is none.

    Comma-separated, or the parameter repeated: then each value is one spelling, whatever commas it has.
    """
    given = query.getlist(name)
    if len(given) == 1:
        given = token_spellings.split(given[0]) if given[0] else []
    return tuple(sorted({token(text, name) for text in _few(given, name)}))


def _several(query: QueryDict, name: str) -> list[str]:
    text = query.get(name)
    return _few(text.split(",") if text else [], name)


def _few(given: list[str], name: str) -> list[str]:
    if len(given) > MAX_SEVERAL:
        raise BadParameter(name, f"{len(given)} values", f"At most {MAX_SEVERAL}, comma-separated")
    return given


def _spoken(name: str) -> str:
    """fromHeight → height, minAmount → amount, limit → limit."""
    return re.sub(r"^[a-z]+(?=[A-Z])", "", name).lower()
