"""Cursors: where the next page begins, opaque to clients, bound to the route and the filters it came from.

A cursor is url-safe base64 of JSON: `[version, scope, values…]`. It is no secret and carries no right, so it is not
signed; whatever it holds is checked for type and range, and can only move a page.
"""

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from balances.models import MAX_AMOUNT
from balances.queries.page import Position
from events.parsing.grc20 import MAX_TOKEN_BYTES
from postgres.limits import MAX_INT32, MAX_INT64
from postgres.text import is_storable

VERSION = 1
MAX_CHARACTERS = 4096

Shape = Sequence[range | type[str]]
"""What each value of a position may be: text, or an integer of a range."""

PATH: Shape = (str,)
PATH_ADDRESS: Shape = (str, str)
PATH_ACCOUNT: Shape = (str, range(MAX_INT64))
HOLDER: Shape = (str, range(-MAX_AMOUNT, MAX_AMOUNT + 1), str)
TRANSACTION: Shape = (range(MAX_INT64), range(MAX_INT32))
EVENT: Shape = (range(MAX_INT64), range(MAX_INT32), range(MAX_INT32))


class CursorInvalid(Exception):
    """A cursor that this request cannot continue from; the text says why."""


def encode(position: Position, scope: str) -> str:
    """The cursor of the page after `position`; `scope` names the route and the filters."""
    body = json.dumps([VERSION, _digest(scope), *position], separators=(",", ":"))
    return urlsafe_b64encode(body.encode()).decode().rstrip("=")


def decode(cursor: str, scope: str, shape: Shape) -> Position:
    """The position in `cursor`. Raises `CursorInvalid` unless it was made for this scope and has this shape."""
    version, digest, *values = _read(cursor)
    if type(version) is not int or version != VERSION:
        raise CursorInvalid("it is of another version of this API")
    if digest != _digest(scope):
        raise CursorInvalid("it belongs to another route or to other filters")
    if len(values) != len(shape) or not all(map(_fits, values, shape)):
        raise CursorInvalid("it does not hold a position of this list")
    return tuple(values)


def _read(cursor: str) -> list[Any]:
    try:
        if len(cursor) > MAX_CHARACTERS or "=" in cursor:
            raise ValueError
        body = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        # Alphabets are lenient in decoding; only what `encode` writes is a cursor.
        if urlsafe_b64encode(body).decode().rstrip("=") != cursor:
            raise ValueError
        read = json.loads(body)
    except (ValueError, binascii.Error, RecursionError):
        raise CursorInvalid("it is not a cursor of this API") from None
    if not isinstance(read, list) or len(read) < 2:
        raise CursorInvalid("it is not a cursor of this API")
    return read


def _fits(value: Any, kind: range | type[str]) -> bool:
    if isinstance(kind, range):
        return type(value) is int and value in kind  # bool is an int to Python, and not to us
    return isinstance(value, str) and len(value) <= MAX_TOKEN_BYTES and is_storable(value)


def _digest(scope: str) -> str:
    return hashlib.sha256(scope.encode()).hexdigest()[:16]
