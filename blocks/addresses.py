"""Addresses of endpoints: an URL, with limits of its own behind `#`: `connections=2&timeout=10&max_bytes=1000000`.

Imports nothing of Django, for settings read it.
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import parse_qsl, unquote, urldefrag, urlsplit

OPTIONS = ("connections", "timeout", "max_bytes")

_URL = re.compile(r"(https?://)(?:[^/\s@]*@)?([^/\s?#()]+)[^\s()]*", re.IGNORECASE)
_SECRET_CHARACTERS = 8


def endpoint_problem(address: str) -> str | None:
    """What is wrong with an endpoint's address, in words; None when it can be used."""
    try:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return "it is not http(s)://host…"
        split_address(address)
    except ValueError as error:
        return str(error)
    return None


def split_address(address: str) -> tuple[str, Mapping[str, float]]:
    """The URL and its options. Raises ValueError that names an option which is not known or has no sensible value."""
    url, fragment = urldefrag(address)
    options: dict[str, float] = {}
    for name, text in parse_qsl(fragment, keep_blank_values=True):
        if name not in OPTIONS:
            raise ValueError(f"option {name!r} is none of {', '.join(OPTIONS)}")
        try:
            options[name] = float(text) if name == "timeout" else int(text)
        except ValueError:
            options[name] = 0
        if not 0 < options[name] < float("inf"):
            raise ValueError(f"option {name}={text!r} is not a number above 0")
    return url, options


def in_public(text: str, addresses: Collection[str]) -> str:
    """`text` with nothing of a URL but scheme, host and port: the rest may be a password, or a key in path or query.

    Parts of `addresses` that may be such a secret are left out of the rest of the text too.
    """
    text = _URL.sub(r"\1\2", text)
    for secret in sorted({secret for address in addresses for secret in _secrets(address)}, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _secrets(address: str) -> set[str]:
    parts = urlsplit(address)
    long = [part for part in re.split("[/?&=]", f"{parts.path}?{parts.query}") if len(part) >= _SECRET_CHARACTERS]
    found = {part for part in (parts.username, parts.password, *long) if part}
    return found | {unquote(part) for part in found}
