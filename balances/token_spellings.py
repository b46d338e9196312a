"""How a token may be spelled: by its id, its key or its realm, with a point or a colon before the symbol.

Pure functions. Which token a spelling means, the tokens that are stored decide: chains once let a symbol hold anything,
so what is stored under a text as it stands comes before everything that the text could be taken for.
"""

import re

from events.parsing.grc20 import realm_and_key

ALLOWED = (
    "A token is its id (gno.land/r/demo/foo20.FOO.0000000), its key (realm.SYMBOL or realm:SYMBOL) or its realm; in a "
    "URL a # is written %23"
)
"""For an error text: what a spelling may be."""

_REALM_ALONE = re.compile(r"[^/\s]+/[re]/[^.:#\s]+")
# As wallets write it since July 2026. A realm's path has no colon, so the first one ends it.
_WITH_COLON = re.compile(r"([^/:\s]+/[re]/[^.:\s]+):(.+)", re.DOTALL)
# What may be on a chain though it was not seen: a realm, and perhaps a symbol, of which only its ends are looked at.
_POSSIBLE = re.compile(r"[^/.:,\s]+(?:\.[^/.:,\s]+)+/[re]/[^.:,\s]+(?:[.:][^,\s](?:\S*[^,\s])?)?")
# A comma may be in a symbol; before what begins like a realm's path it separates.
_SEPARATOR = re.compile(r",(?=[^/.:,\s]+(?:\.[^/.:,\s]+)+/[re]/)")


def is_possible(text: str) -> bool:
    """Whether a chain could have a token, or a realm, that is spelled so."""
    return text.isprintable() and _POSSIBLE.fullmatch(text) is not None


def with_point(text: str) -> str | None:
    """`realm:SYMBOL` as the chain writes it, `realm.SYMBOL`; None for a text that is not of that form."""
    found = _WITH_COLON.fullmatch(text)
    return f"{found[1]}.{found[2]}" if found else None


def sub_realms(text: str) -> tuple[str, str] | tuple[None, None]:
    """Between which ids (the second exclusive) those of the sub-realms of a realm are: `realm#sub.SYMBOL…`."""
    return (f"{text}#", f"{text}$") if _REALM_ALONE.fullmatch(text) else (None, None)


def split(text: str) -> list[str]:
    """The spellings in a comma-separated list."""
    return _SEPARATOR.split(text)


def host_of(realm: str) -> str:
    """The realm that a sub-realm is of; any other is its own."""
    return realm.partition("#")[0]


def spellings_of(path: str) -> set[str]:
    """Every way in which the token of this id may be spelled."""
    realm, key = realm_and_key(path)
    with_colon = {f"{realm}:{text[len(realm) + 1 :]}" for text in (path, key) if text != realm}
    return {path, key, realm, host_of(realm), *with_colon}


def is_meant(path: str, kind: str, text: str) -> bool:
    """Whether `text`, which is a "path", a "key" or a "realm", means the token of this id."""
    realm, key = realm_and_key(path)
    return text in {"path": (path,), "key": (key,), "realm": (realm, host_of(realm))}[kind]
