"""The wire's ``Time``: RFC 3339 in UTC with 0 to 9 digits of a second, compared to the nanosecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_FORM = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d:\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time: what a block without a recorded time answers."""


class Moment(int):
    """Nanoseconds since 1970-01-01T00:00:00Z; a type of its own, so that a filter cannot take it for a count."""


def parse_moment(text: object) -> Moment:
    """Read a ``Time`` of the wire. Raises ValueError for anything else."""
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"Time wants RFC 3339 such as 2025-07-08T17:31:54.846192116Z, found {text!r}")
    seconds, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    whole = (datetime.fromisoformat(seconds.upper() + zone) - _EPOCH) // timedelta(seconds=1)
    return Moment(whole * 1_000_000_000 + int((fraction or "").ljust(9, "0")))
