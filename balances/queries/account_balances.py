"""What accounts hold: of every token, or of some; by token path, then address. Hand-written SQL lives here.

Of every token: those of scripts come after all others (`Token.listing_key`).
"""

from collections.abc import Callable, Sequence
from typing import Any

from balances.queries.filters import BalanceFilters
from balances.queries.page import Page, PageRequest, page_of
from balances.queries.scan_budgets import LAST, LOOKED_UP, SCAN
from balances.queries.staged_query import Row, StagedQuery, Stages
from balances.queries.token_lookup import Meant, Resolved, TokenRow, columns_of, described, resolving, resolving_one
from balances.token_flags import listing_key, path_listed

ACCOUNTS = "ARRAY(SELECT id FROM accounts WHERE address = ANY(%(addresses)s))"

# Everything that the accounts hold, as long as it is not too much, put in order.
_ALL = f"""
WITH held AS MATERIALIZED (
    SELECT account_id, token_id, amount FROM balances WHERE account_id = ANY({ACCOUNTS}) LIMIT %(scan)s
), said AS (SELECT count(*) AS said FROM held)
"""  # noqa: S608  # our own constant

# The tokens in order, a bounded number of them, each looked up for each account.
_WALK = f"""
WITH walked AS MATERIALIZED (
    SELECT id, listing_key FROM tokens WHERE listing_key >= %(first)s ORDER BY listing_key LIMIT %(scan)s
), said AS (
    SELECT max(listing_key) AS said FROM walked HAVING count(*) = %(scan)s
), held AS MATERIALIZED (
    SELECT account.id AS account_id, walked.id AS token_id, balance.amount
    FROM walked CROSS JOIN unnest({ACCOUNTS}) AS account (id) CROSS JOIN LATERAL (
        SELECT amount FROM balances WHERE account_id = account.id AND token_id = walked.id OFFSET 0
    ) AS balance
)
"""  # noqa: S608  # our own constant

# A row without a token when the page is empty, for what else is said. Looked up one by one (OFFSET 0 keeps PostgreSQL
# from turning it into a join): whole tables would be read for it, or the tokens walked along in the hope to find some.
_PAGE = """
SELECT (SELECT said FROM said), page.* FROM (VALUES (0)) AS always LEFT JOIN (
    SELECT listed.address, listed.amount, coalesce(totals.minted - totals.burned, 0), {token}, listed.listing_key
    FROM (
        SELECT accounts.address, held.amount, tokens.*
        FROM held
        CROSS JOIN LATERAL (SELECT * FROM tokens WHERE id = held.token_id OFFSET 0) AS tokens
        CROSS JOIN LATERAL (SELECT address FROM accounts WHERE id = held.account_id OFFSET 0) AS accounts
        WHERE {conditions} ORDER BY tokens.listing_key, accounts.address LIMIT %(limit)s
    ) AS listed
    LEFT JOIN LATERAL (SELECT * FROM token_totals WHERE token_id = listed.id OFFSET 0) AS totals ON true
) AS page ON true ORDER BY page.listing_key, page.address
"""

_PAIR = f"""
LEFT JOIN (
    balances AS held JOIN accounts ON accounts.id = held.account_id
) ON held.token_id = token.id AND held.account_id = ANY({ACCOUNTS})
"""

_PAIRS = f"""
SELECT balances.token_id, accounts.address, balances.amount
FROM balances JOIN accounts ON accounts.id = balances.account_id
WHERE balances.account_id = ANY({ACCOUNTS}) AND balances.token_id = ANY(%(tokens)s)
"""  # noqa: S608  # our own constant


@StagedQuery
def held(wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    """The balance of each of the accounts `wanted.addresses` of each token it holds, or of those of `wanted.tokens`."""
    if wanted.tokens:
        return (yield from _looked_up(wanted, part, lambda token: token.described))
    values: dict[str, Any] = {
        "addresses": list(wanted.addresses),
        "limit": part.limit + 1,
        "scan": SCAN + 1,
        "first": listing_key(part.after[0]) if part.after else "",
        "after": part.after and listing_key(part.after[0]),
        "after_address": part.after and part.after[1],
        "least": wanted.least,
        "standard": wanted.standard,
    }
    page = _PAGE.format(token=columns_of("listed"), conditions=_conditions(wanted, part))
    found = yield _ALL + page, values
    searched = None
    if found[0][0] > SCAN:
        found = yield _WALK + page, values | {"scan": SCAN // len(wanted.addresses)}
        searched = found[0][0] and path_listed(found[0][0])
    rows = [
        {"address": address, "tokenPath": columns[1], "amount": int(amount), **described(TokenRow(*columns), supply)}
        for _, address, amount, supply, *columns, _ in found
        if address is not None
    ]
    return _page(rows, part, searched)


@StagedQuery
def held_of_tokens(wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    """The balance of each of the accounts `wanted.addresses` of the tokens that `wanted.tokens` mean."""
    return (yield from _looked_up(wanted, part, lambda token: {"flags": token.flags}))


def _conditions(wanted: BalanceFilters, part: PageRequest) -> str:
    conditions = ["true"]
    if part.after:
        conditions.append("(tokens.listing_key, accounts.address) > (%(after)s, %(after_address)s)")
    if not wanted.include_zero:
        conditions.append("held.amount <> 0")
    if wanted.least is not None:
        conditions.append("held.amount >= %(least)s")
    if wanted.standard is not None:
        conditions.append("tokens.standard = %(standard)s")
    return " AND ".join(conditions)


def _looked_up(wanted: BalanceFilters, part: PageRequest, beside: Callable[[Resolved], dict[str, Any]]) -> Stages[Page]:
    after = part.after or ("", "")
    meant, found = yield from _pairs(wanted, after[0])
    tokens = {token.id: token for token in meant.tokens if wanted.standard in (None, token.standard)}
    rows = [
        {"address": address, "tokenPath": tokens[token_id].path, "amount": int(amount), **beside(tokens[token_id])}
        for token_id, address, amount in found
        if token_id in tokens and (amount or wanted.include_zero) and (wanted.least is None or amount >= wanted.least)
    ]
    return _page(sorted((row for row in rows if place(row) > after), key=place), part, meant.complete_to)


def _pairs(wanted: BalanceFilters, first: str) -> Stages[tuple[Meant, Sequence[Row]]]:
    """The tokens that are meant, from the path `first` on, and (token id, address, amount) of what is held of them."""
    values: dict[str, Any] = {"addresses": list(wanted.addresses)}
    columns = "held.token_id, accounts.address, held.amount"
    if (one := (yield from resolving_one(wanted.tokens, beside=columns, join=_PAIR, values=values))) is not None:
        return one
    each = LOOKED_UP // (len(wanted.tokens) * len(wanted.addresses))
    meant = yield from resolving(wanted.tokens, wanted.spelled_in, each, first)
    found = yield _PAIRS, values | {"tokens": [token.id for token in meant.tokens]}
    return meant, found


def _page(rows: list[dict[str, Any]], part: PageRequest, searched: str | None) -> Page:
    return page_of(rows, part.limit, place, searched=None if searched is None else (searched, LAST))


def place(row: dict[str, Any]) -> tuple[str, str]:
    """Where a balance stands in these lists."""
    return row["tokenPath"], row["address"]
