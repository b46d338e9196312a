"""Addresses of endpoints: an URL, with limits of its own behind `#`: `connections=2&timeout=10&max_bytes=1000000`.

Imports nothing of Django, for settings read it.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urldefrag, urlsplit

OPTIONS = ("connections", "timeout", "max_bytes")


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
