"""What a request asks for, read from its query string and checked; everything else is refused by name."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from django.http import QueryDict

from balances.api import cursors
from balances.api.addresses import is_address
from balances.api.cursors import CursorInvalid, Position, Shape
from balances.api.refusals import BadParameter, shown
from blocks.storable import is_storable
from events.grc20 import MAX_TOKEN_BYTES

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
FORMAT = "format"
"""Django REST framework's own parameter: which renderer answers."""

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a list. `address` and `token` are None when not given; `scope` names route and filters.

    `after`: the position the page begins after, None for the first page.
    """

    scope: str
    address: str | None
    token: str | None
    limit: int
    after: Position | None
    include_zero: bool
    text_amounts: bool


def read_parameters(
    query: QueryDict, *, route: str, allowed: Collection[str], shapes: tuple[Shape, Shape], token: str | None = None
) -> Asked:
    """The parameters of a list route. Raises `BadParameter`.

    `allowed`: the parameters that the route has. `shapes`: of its cursors, without and with an address. `token`: from
    the path, where the route has it there.
    """
    for name, values in query.lists():
        if name not in allowed and name != FORMAT:
            raise BadParameter(shown(name), "there is no such parameter here", f"Allowed are {', '.join(allowed)}")
        if len(values) > 1:
            raise BadParameter(name, f"given {len(values)} times", "Give it once")
    address = query.get("address") or None
    if address is not None and not is_address(address):
        raise BadParameter(
            "address",
            f"{shown(address)} is not an address",
            "An address is bech32 with a valid checksum and 20 bytes, as g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5",
        )
    if token is None:
        token = query.get("token") or None
    if token is not None:
        _check_token(token, "tokenPath" if "token" not in allowed else "token")
    include_zero = _choice(query, "include", "zero")
    scope = json.dumps([route, address, token, include_zero])
    return Asked(
        scope=scope,
        address=address,
        token=token,
        limit=_limit(query),
        after=_after(query, scope, shapes[address is not None]),
        include_zero=include_zero,
        text_amounts=_choice(query, "amounts", "string"),
    )


def _check_token(token: str, name: str) -> None:
    size = len(token.encode())
    if not token.strip() or size > MAX_TOKEN_BYTES or not is_storable(token):
        wrong = f"{size} bytes" if size > MAX_TOKEN_BYTES else f"{shown(token)} is not a token"
        allowed = f"A token's id, its key (realm.SYMBOL) or its realm, of at most {MAX_TOKEN_BYTES} bytes"
        raise BadParameter(name, wrong, allowed)


def _limit(query: QueryDict) -> int:
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadParameter("limit", f"{shown(text)} is not a limit", f"A whole number from 1 to {MAX_LIMIT}")
    return int(text)


def _choice(query: QueryDict, name: str, word: str) -> bool:
    text = query.get(name)
    if text not in (None, word):
        raise BadParameter(name, f"{shown(text)} is not known", f"Leave it out, or {name}={word}")
    return text == word


def _after(query: QueryDict, scope: str, shape: Shape) -> Position | None:
    cursor = query.get("cursor")
    if not cursor:
        return None
    try:
        return cursors.decode(cursor, scope, shape)
    except CursorInvalid as invalid:
        raise BadParameter(
            "cursor", f"{shown(cursor)}: {invalid}", "Take it from an answer's next, unchanged"
        ) from None
