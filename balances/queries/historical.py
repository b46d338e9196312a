"""The balance lists as they were at a height: what each list has now, with the amounts of then.

A pair that moved since is there now, and one that had not moved by then is left out; so pages may be short, and their
order is one that amounts do not change. Hand-written SQL lives here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from balances.history import point_in_time
from balances.models import Token
from balances.queries import account_balances, token_list
from balances.queries import holders as now
from balances.queries.as_of import Moment, asking, moment, moment_of
from balances.queries.filters import BalanceFilters, TokenFilters, When
from balances.queries.page import Page, PageRequest, Read, page_of
from balances.queries.scan_budgets import LOOKED_UP
from balances.queries.staged_query import StagedQuery, Stages, run
from balances.queries.token_lookup import Resolved, resolve, resolving_one
from postgres.limits import MAX_INT64

_PAIRS = """
SELECT address, path, accounts.id, tokens.id
FROM unnest(%(addresses)s::text[], %(paths)s::text[]) AS given (address, path)
JOIN accounts USING (address) JOIN tokens USING (path)
"""

_AMOUNT = point_in_time.AMOUNT.format(account="held.account_id", of="token.id", height="at.meant")

_PAIR = f"""
CROSS JOIN ({{moment}}) AS at
LEFT JOIN (
    balances AS held JOIN accounts ON accounts.id = held.account_id
) ON held.token_id = token.id AND held.account_id = ANY({account_balances.ACCOUNTS})
"""

# In the order in which accounts were first seen: that of the largest now is another every moment.
_HOLDERS = """
SELECT token.id, held.account_id, accounts.address
FROM (SELECT id, path FROM tokens WHERE id = ANY(%(tokens)s) ORDER BY path) AS token
CROSS JOIN LATERAL (
    SELECT account_id FROM balances
    WHERE token_id = token.id
      AND account_id > CASE token.path WHEN %(path)s THEN %(after)s ELSE -1 END
    ORDER BY account_id LIMIT %(limit)s
) AS held
JOIN accounts ON accounts.id = held.account_id
ORDER BY token.path, held.account_id LIMIT %(limit)s
"""

_LAST_ACCOUNT = MAX_INT64 - 1


def held(wanted: BalanceFilters, part: PageRequest) -> Page:
    """As `accounts.held`."""
    return run(_of_accounts(account_balances.held, wanted, part))


@StagedQuery
def held_of_tokens(wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    """As `accounts.held_of_tokens`."""
    if (page := (yield from _of_one_token(wanted, part))) is not None:
        return page
    return (yield from _of_accounts(account_balances.held_of_tokens, wanted, part))


def sums(wanted: BalanceFilters, part: PageRequest) -> Page:
    """As `token_list.sums`."""
    at = moment(_when(wanted))
    page = token_list.sums(replace(wanted, least=None, include_zero=True), part)
    known = _supplies(at, page.rows)
    rows = [row | {"amount": known[row["tokenPath"]]} for row in page.rows if row["tokenPath"] in known]
    return Page([row for row in rows if _wanted(wanted, row["amount"])], page.last, at.members())


def tokens(wanted: TokenFilters, part: PageRequest) -> Page:
    """As `token_list.tokens`: the supply is that of the height, and what is not kept of the past is None."""
    at = moment(_when(wanted))
    page = token_list.tokens(wanted, part)
    known = _supplies(at, page.rows)
    unknown = dict.fromkeys(("minted", "burned", "holders", "transfers"))
    rows = [row | unknown | {"supply": known.get(row["tokenPath"], 0)} for row in page.rows]
    return Page(rows, page.last, at.members())


def holders(wanted: BalanceFilters, part: PageRequest) -> Page:
    """Every account that held the tokens that `wanted.tokens` mean; by token path, in order of first appearance."""
    at = moment(_when(wanted))
    found, last = _holders(at, wanted, part)
    rows = [
        {"address": address, "tokenPath": token.path, "amount": amount, "flags": token.flags}
        for token, address, amount in found
    ]
    return Page(rows, last, at.members())


def shares(wanted: BalanceFilters, part: PageRequest) -> Page:
    """As `holders`, each with its share of what there was of the token."""
    at = moment(_when(wanted))
    found, last = _holders(at, wanted, part)
    supplies = point_in_time.supplies_at(at.height, {token.id for token, _, _ in found})
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
    account_balances.held: held,
    account_balances.held_of_tokens: held_of_tokens,
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


def _of_accounts(read: StagedQuery[BalanceFilters], wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    when = _when(wanted)
    (found,) = (yield asking(when)) or (None,)
    at = moment_of(when, found)
    page = yield from read.steps(replace(wanted, least=None, include_zero=True), part)
    pairs = yield (
        _PAIRS,
        {"addresses": [row["address"] for row in page.rows], "paths": [row["tokenPath"] for row in page.rows]},
    )
    names = {(account, token): (address, path) for address, path, account, token in pairs}
    known = point_in_time.amounts_of((yield point_in_time.asking_amounts(at.height, names))) if names else {}
    then = {names[pair]: amount for pair, amount in known.items()}
    return _page(
        wanted,
        at,
        replace(page, rows=[row | {"amount": then.get((row["address"], row["tokenPath"]))} for row in page.rows]),
    )


def _of_one_token(wanted: BalanceFilters, part: PageRequest) -> Stages[Page | None]:
    """The page by one statement; None when not exactly one token is meant."""
    when = _when(wanted)
    moment_asked, values = asking(when)
    one = yield from resolving_one(
        wanted.tokens,
        beside=f"accounts.address, {_AMOUNT}, at.*",
        join=_PAIR.format(moment=moment_asked),
        values={**values, "addresses": list(wanted.addresses)},
    )
    if one is None:
        return None
    meant, found = one
    (token,) = meant.tokens
    at = moment_of(when, found[0][2:])
    rows = [
        {
            "address": address,
            "tokenPath": token.path,
            "amount": None if amount is None else int(amount),
            "flags": token.flags,
        }
        for address, amount, *_ in found
        if address is not None and wanted.standard in (None, token.standard)
    ]
    after = part.after or ("", "")
    rows = sorted((row for row in rows if account_balances.place(row) > after), key=account_balances.place)
    return _page(wanted, at, page_of(rows, part.limit, account_balances.place))


def _page(wanted: BalanceFilters, at: Moment, page: Page) -> Page:
    """Of a page as the list is now what is wanted of then; an amount is None where nothing had moved by then."""
    rows = [row for row in page.rows if row["amount"] is not None and _wanted(wanted, row["amount"])]
    return Page(rows, page.last, at.members())


def _supplies(at: Moment, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """What there was of each token, by path, of those that had moved by then."""
    paths = dict(Token.objects.filter(path__in=[row["tokenPath"] for row in rows]).values_list("id", "path"))
    return {paths[token]: supply for token, supply in point_in_time.supplies_at(at.height, paths).items()}


def _holders(
    at: Moment, wanted: BalanceFilters, part: PageRequest
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
    known = point_in_time.amounts_at(at.height, [(account, token) for token, account, _ in page])
    rows = [
        (tokens[token], address, known[account, token])
        for token, account, address in page
        if (account, token) in known and _wanted(wanted, known[account, token])
    ]
    if len(found) > part.limit:
        return rows, (tokens[page[-1][0]].path, page[-1][1])
    return rows, None if meant.complete_to is None else (meant.complete_to, _LAST_ACCOUNT)
