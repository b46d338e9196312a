"""Holders of a token, largest first. Hand-written SQL lives here.

The order is (token path, amount descending, address), which the index `balance_holders` has for each token. A condition
such as "amount, then address, after the cursor" would make PostgreSQL step over every holder of the same amount, and
"amount <> 0" over every empty account: so a page is put together from ranges of the index, each read in order.

`ranked_amount` is the amount, but while a backfill goes on: then it is what it was at `IndexedHeight.ranked`, or later.
"""

from collections.abc import Callable, Sequence
from typing import Any

from balances.models import MAX_AMOUNT
from balances.queries.filters import BalanceFilters
from balances.queries.page import Page, PageRequest, page_of
from balances.queries.scan_budgets import LAST, LOOKED_UP
from balances.queries.staged_query import Row, StagedQuery, Stages
from balances.queries.token_lookup import Meant, Resolved, resolving, resolving_one

SHARE_DIGITS = 12

_RANGE = """(
    SELECT token_id, ranked_amount, address FROM balances
    WHERE token_id = {of} AND ranked_amount IS NOT NULL AND {condition}
    ORDER BY ranked_amount DESC, address LIMIT %(limit)s
)"""

# In one value, for else what is said of the token would be said beside each holder.
_AT_ONCE = """
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(ranked_amount, address)) AS pairs FROM ({ranges}) AS found
) AS held
"""

# The tokens come in order of path, so PostgreSQL stops (incremental sort) as soon as the page is full.
_OF_TOKENS = """(
    SELECT held.token_id, held.ranked_amount, held.address
    FROM (SELECT id, path FROM tokens WHERE id = ANY(%(tokens)s) ORDER BY path) AS token
    CROSS JOIN LATERAL ({ranges}) AS held
    ORDER BY token.path, held.ranked_amount DESC, held.address LIMIT %(limit)s
)"""


@StagedQuery
def holders(wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    """Every account with a balance of the tokens that `wanted.tokens` mean; by token path, the largest first."""
    return (yield from _holders(wanted, part, lambda token, _: {"flags": token.flags}))


@StagedQuery
def shares(wanted: BalanceFilters, part: PageRequest) -> Stages[Page]:
    """As `holders`, each with its share of what there is of the token."""
    return (yield from _holders(wanted, part, lambda token, amount: {"share": share(amount, token.supply)}))


def share(amount: int, supply: int) -> str | None:
    """`amount` / `supply` with `SHARE_DIGITS` digits after the point, cut off; None when there is no supply."""
    if supply <= 0:
        return None
    whole, rest = divmod(abs(amount) * 10**SHARE_DIGITS // supply, 10**SHARE_DIGITS)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:0{SHARE_DIGITS}}"


def _holders(
    wanted: BalanceFilters, part: PageRequest, beside: Callable[[Resolved, int], dict[str, Any]]
) -> Stages[Page]:
    meant, found = yield from _found(wanted, part)
    tokens = {token.id: token for token in meant.tokens if wanted.standard in (None, token.standard)}
    rows = [
        {
            "address": address,
            "tokenPath": tokens[token_id].path,
            "amount": int(amount),
            **beside(tokens[token_id], int(amount)),
        }
        for token_id, amount, address in found
        if token_id in tokens
    ]
    rows.sort(key=_order)  # code points order as the database's collation "C" does
    searched = None if meant.complete_to is None else (meant.complete_to, -MAX_AMOUNT, LAST)
    return page_of(rows, part.limit, lambda row: (row["tokenPath"], row["amount"], row["address"]), searched=searched)


def _order(row: dict[str, Any]) -> tuple[str, int, str]:
    return row["tokenPath"], -row["amount"], row["address"]


def _found(wanted: BalanceFilters, part: PageRequest) -> Stages[tuple[Meant, list[Row]]]:
    """The tokens that are meant, and up to three times `limit` + 1 of (token id, amount, address), in no order.

    The next ones after the position are among them.
    """
    values: dict[str, Any] = {"limit": part.limit + 1, "least": wanted.least, "path": ""}
    if part.after:
        values["path"], values["amount"], values["address"] = part.after
    following = [f"{each} AND token.path > %(path)s" for each in _ranges(wanted)]
    if part.after:
        following += [f"{each} AND token.path = %(path)s" for each in _after(wanted)]
    join = _AT_ONCE.format(ranges=_union(following, "token.id"))
    one = yield from resolving_one(wanted.tokens, beside="token.id, held.pairs", join=join, values=values)
    if one is not None:
        meant, ((token_id, pairs),) = one
        return meant, [(token_id, amount, address) for amount, address in pairs or ()]
    path = values["path"]
    meant = yield from resolving(wanted.tokens, wanted.spelled_in, LOOKED_UP, path)
    tokens: Sequence[Resolved] = [token for token in meant.tokens if wanted.standard in (None, token.standard)]
    parts = []
    if same := [token.id for token in tokens if token.path == path]:
        values["token"] = same[0]
        parts = [_union(_after(wanted), "%(token)s")]
    if rest := [token.id for token in tokens if token.path > path]:
        values["tokens"] = rest
        parts.append(_OF_TOKENS.format(ranges=_union(_ranges(wanted), "token.id")))
    return meant, (yield " UNION ALL ".join(parts), values) if parts else []


def _union(conditions: Sequence[str], token: str) -> str:
    return " UNION ALL ".join(_RANGE.format(of=token, condition=each) for each in conditions)


def _ranges(wanted: BalanceFilters) -> list[str]:
    """Conditions of the ranges that hold the amounts that are wanted."""
    if wanted.least is not None:
        return ["ranked_amount >= %(least)s" if wanted.least or wanted.include_zero else "ranked_amount > 0"]
    return ["true"] if wanted.include_zero else ["ranked_amount > 0", "ranked_amount < 0"]


def _after(wanted: BalanceFilters) -> list[str]:
    """Conditions of the ranges that follow the position within its token."""
    below = [f"ranked_amount < %(amount)s AND {each}" for each in _ranges(wanted)]
    return ["ranked_amount = %(amount)s AND address > %(address)s", *below]
