"""Text that PostgreSQL can hold, from strings that a chain is free to fill with anything."""

import re

# PostgreSQL's text has no NUL, and UTF-8 no surrogates; a chain's strings may have both.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    r"""The text with what PostgreSQL cannot hold spelled out as its JSON escape, e.g. NUL as the six characters \u0000.

    Meant for columns that people read (memo, error, emitter). Where a string must stay exact, it is kept in a `json`
    column, whose escapes lose nothing.
    """
    return text if is_storable(text) else _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
