"""Holders of a token, largest first. Hand-written SQL lives here.

The order is (token path, amount descending, address), which the index `balance_holders` has for each token. A condition
such as "amount, then address, after the cursor" would make PostgreSQL step over every holder of the same amount, and
"amount <> 0" over every empty account: so a page is put together from ranges of the index, each read in order.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from balances.api.cursors import Position
from balances.api.pages import Page, page_of
from balances.api.parameters import Asked
from balances.api.tokens import Resolved, resolve

_RANGE = """(
    SELECT token_id, amount, address FROM balances WHERE token_id = {of} AND {condition}
    ORDER BY amount DESC, address LIMIT %(limit)s
)"""

# The tokens come in order of path, so PostgreSQL stops (incremental sort) as soon as the page is full.
_OF_TOKENS = """(
    SELECT held.token_id, held.amount, held.address
    FROM (SELECT id, path FROM tokens WHERE id = ANY(%(tokens)s) ORDER BY path) AS token
    CROSS JOIN LATERAL ({ranges}) AS held
    ORDER BY token.path, held.amount DESC, held.address LIMIT %(limit)s
)"""


def holders(asked: Asked) -> Page:
    """Every account with a balance of the tokens that `asked.token` means; by token path, the largest first."""
    assert asked.token is not None
    tokens = {token.id: token for token in resolve(asked.token)}
    rows = [
        {
            "address": address,
            "tokenPath": tokens[token_id].path,
            "amount": int(amount),
            "flags": tokens[token_id].flags,
        }
        for token_id, amount, address in _read(list(tokens.values()), asked)
    ]
    rows.sort(key=_order)  # code points order as the database's collation "C" does
    return page_of(rows, asked.limit, lambda row: (row["tokenPath"], row["amount"], row["address"]))


def _order(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["tokenPath"], -row["amount"], row["address"]


def _read(tokens: Sequence[Resolved], asked: Asked) -> list[tuple[int, Decimal, str]]:
    """Up to three times `limit` + 1 rows, the next ones after the position among them, in no order."""
    values: dict[str, Any] = {"limit": asked.limit + 1}
    parts = []
    if asked.after:
        path, amount, address = asked.after
        same = [token.id for token in tokens if token.path == path]
        tokens = [token for token in tokens if token.path > path]
        if same:
            values |= {"token": same[0], "amount": amount, "address": address}
            conditions = _after(asked.after, include_zero=asked.include_zero)
            parts = [_RANGE.format(of="%(token)s", condition=condition) for condition in conditions]
    if tokens:
        values["tokens"] = [token.id for token in tokens]
        conditions = ["true"] if asked.include_zero else ["amount > 0", "amount < 0"]
        ranges = [_RANGE.format(of="token.id", condition=condition) for condition in conditions]
        parts.append(_OF_TOKENS.format(ranges=" UNION ALL ".join(ranges)))
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), values)
        found: list[tuple[int, Decimal, str]] = cursor.fetchall()
    return found


def _after(position: Position, *, include_zero: bool) -> list[str]:
    """Conditions of the ranges that follow `position` within its token."""
    conditions = ["amount = %(amount)s AND address > %(address)s"]
    if include_zero or position[1] <= 0:
        return [*conditions, "amount < %(amount)s"]
    return [*conditions, "amount < %(amount)s AND amount > 0", "amount < 0"]
