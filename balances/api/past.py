"""The balance lists as they were at a height: what each list has now, with the amounts of then.

A pair that moved since is there now, and one that had not moved by then is left out; so pages may be short, and their
order is one that amounts do not change. Hand-written SQL lives here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from balances import past
from balances.api import accounts, token_list
from balances.api import holders as now
from balances.api.asking import Slice
from balances.api.cursors import MAX_INT64
from balances.api.filters import BalanceFilters, TokenFilters, When
from balances.api.moments import Moment, moment
from balances.api.pages import Page, Read
from balances.api.scans import LOOKED_UP
from balances.api.tokens import Resolved, resolve
from balances.models import Token

_PAIRS = """
SELECT address, path, accounts.id, tokens.id
FROM unnest(%(addresses)s::text[], %(paths)s::text[]) AS given (address, path)
JOIN accounts USING (address) JOIN tokens USING (path)
"""

# In the order in which accounts were first seen: that of the largest now is another every moment. What a backfill has
# not ranked yet moved above the height that is ranked (`balances/ranking.py`).
_HOLDERS = """
SELECT token.id, held.account_id, accounts.address
FROM (SELECT id, path FROM tokens WHERE id = ANY(%(tokens)s) ORDER BY path) AS token
CROSS JOIN LATERAL (
    SELECT account_id FROM balances
    WHERE token_id = token.id AND ranked_amount IS NOT NULL
      AND account_id > CASE token.path WHEN %(path)s THEN %(after)s ELSE -1 END
    ORDER BY account_id LIMIT %(limit)s
) AS held
JOIN accounts ON accounts.id = held.account_id
ORDER BY token.path, held.account_id LIMIT %(limit)s
"""

_LAST_ACCOUNT = MAX_INT64 - 1


def held(wanted: BalanceFilters, part: Slice) -> Page:
    """As `accounts.held`."""
    return _of_accounts(accounts.held, wanted, part)


def held_of_tokens(wanted: BalanceFilters, part: Slice) -> Page:
    """As `accounts.held_of_tokens`."""
    return _of_accounts(accounts.held_of_tokens, wanted, part)


def sums(wanted: BalanceFilters, part: Slice) -> Page:
    """As `token_list.sums`."""
    at = moment(_when(wanted))
    page = token_list.sums(replace(wanted, least=None, include_zero=True), part)
    known = _supplies(at, page.rows)
    rows = [row | {"amount": known[row["tokenPath"]]} for row in page.rows if row["tokenPath"] in known]
    return Page([row for row in rows if _wanted(wanted, row["amount"])], page.last, at.members())


def tokens(wanted: TokenFilters, part: Slice) -> Page:
    """As `token_list.tokens`: the supply is that of the height, and what is not kept of the past is None."""
    at = moment(_when(wanted))
    page = token_list.tokens(wanted, part)
    known = _supplies(at, page.rows)
    unknown = dict.fromkeys(("minted", "burned", "holders", "transfers"))
    rows = [row | unknown | {"supply": known.get(row["tokenPath"], 0)} for row in page.rows]
    return Page(rows, page.last, at.members())


def holders(wanted: BalanceFilters, part: Slice) -> Page:
    """Every account that held the tokens that `wanted.tokens` mean; by token path, in order of first appearance."""
    at = moment(_when(wanted), ranked=True)
    found, last = _holders(at, wanted, part)
    rows = [
        {"address": address, "tokenPath": token.path, "amount": amount, "flags": token.flags}
        for token, address, amount in found
    ]
    return Page(rows, last, at.members())


def shares(wanted: BalanceFilters, part: Slice) -> Page:
    """As `holders`, each with its share of what there was of the token."""
    at = moment(_when(wanted), ranked=True)
    found, last = _holders(at, wanted, part)
    supplies = past.supplies_at(at.height, {token.id for token, _, _ in found})
    rows = [
        {
            "address": address,
            "tokenPath": token.path,
            "amount": amount,
            "share": now.share(amount, supplies.get(token.id, 0)),
        }
        for token, address, amount in found
    ]
    return Page(rows, last, at.members())


_THEN: dict[Read[BalanceFilters], Read[BalanceFilters]] = {
    accounts.held: held,
    accounts.held_of_tokens: held_of_tokens,
    token_list.sums: sums,
    now.holders: holders,
    now.shares: shares,
}


def then(read: Read[BalanceFilters], wanted: BalanceFilters) -> Read[BalanceFilters]:
    """What reads the list as it was at the moment that is asked for, instead of `read`; `read` when that is now."""
    return read if wanted.when is None else _THEN[read]


def _when(wanted: BalanceFilters | TokenFilters) -> When:
    assert wanted.when is not None
    return wanted.when


def _wanted(wanted: BalanceFilters, amount: int) -> bool:
    return (amount != 0 or wanted.include_zero) and (wanted.least is None or amount >= wanted.least)


def _of_accounts(read: Read[BalanceFilters], wanted: BalanceFilters, part: Slice) -> Page:
    at = moment(_when(wanted))
    page = read(replace(wanted, least=None, include_zero=True), part)
    known = _amounts(at, page.rows)
    rows = [row | {"amount": known[pair]} for row in page.rows if (pair := (row["address"], row["tokenPath"])) in known]
    return Page([row for row in rows if _wanted(wanted, row["amount"])], page.last, at.members())


def _amounts(at: Moment, rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], int]:
    """What was held, by address and token path, of those rows whose account had moved the token by then."""
    with connection.cursor() as cursor:
        cursor.execute(
            _PAIRS, {"addresses": [row["address"] for row in rows], "paths": [row["tokenPath"] for row in rows]}
        )
        names = {(account, token): (address, path) for address, path, account, token in cursor.fetchall()}
    return {names[pair]: amount for pair, amount in past.amounts_at(at.height, names).items()}


def _supplies(at: Moment, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What there was of each token, by path, of those that had moved by then."""
    paths = dict(Token.objects.filter(path__in=[row["tokenPath"] for row in rows]).values_list("id", "path"))
    return {paths[token]: supply for token, supply in past.supplies_at(at.height, paths).items()}


def _holders(
    at: Moment, wanted: BalanceFilters, part: Slice
) -> tuple[list[tuple[Resolved, str, int]], tuple[str, int] | None]:
    """Token, address and amount of the holders on a page, and where the next one begins after."""
    path, after = part.after or ("", -1)
    meant = resolve(wanted.tokens, wanted.spelled_in, LOOKED_UP, path)
    tokens = {token.id: token for token in meant.tokens if wanted.standard in (None, token.standard)}
    values = {"tokens": list(tokens), "limit": part.limit + 1, "path": path, "after": after}
    with connection.cursor() as cursor:
        cursor.execute(_HOLDERS, values)
        found = cursor.fetchall()
    page = found[: part.limit]
    known = past.amounts_at(at.height, [(account, token) for token, account, _ in page])
    rows = [
        (tokens[token], address, known[account, token])
        for token, account, address in page
        if (account, token) in known and _wanted(wanted, known[account, token])
    ]
    if len(found) > part.limit:
        return rows, (tokens[page[-1][0]].path, page[-1][1])
    return rows, None if meant.complete_to is None else (meant.complete_to, _LAST_ACCOUNT)
