"""Holders of a token, largest first. Hand-written SQL lives here.

The order is (token path, amount descending, account id): of equal amounts, the account that was seen first. Two partial
indexes have it for each token, `balance_holders` of amounts above zero and `balance_rest` of all others, so every range
names the sign of its amounts. A condition such as "amount, then account, after the cursor" would make PostgreSQL step
over every holder of the same amount, and "amount <> 0" over every empty account: so a page is put together from ranges
of the indexes, each read in order.
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

_ABOVE_ZERO, _ZERO_OR_BELOW = "amount > 0", "amount <= 0"
"""The conditions of the two partial indexes, which a range must name."""

_RANGE = """(
    SELECT token_id, amount, account_id FROM balances
    WHERE token_id = {of} AND {condition}
    ORDER BY amount DESC, account_id LIMIT %(limit)s
)"""

# A subquery and no join: addresses are looked up by id, whatever the planner expects of the number of rows.
_ADDRESS = "(SELECT address FROM accounts WHERE id = account_id)"

# Aggregated into one value, so that the columns of the token are not repeated for each holder.
_AT_ONCE = f"""
CROSS JOIN LATERAL (
    SELECT json_agg(json_build_array(amount, account_id, {_ADDRESS})) AS holders FROM ({{ranges}}) AS holder
) AS held
"""  # noqa: S608  # our own constant

# The tokens come in order of path, so PostgreSQL stops (incremental sort) as soon as the page is full.
_OF_TOKENS = """(
    SELECT held.token_id, held.amount, held.account_id
    FROM (SELECT id, path FROM tokens WHERE id = ANY(%(tokens)s) ORDER BY path) AS token
    CROSS JOIN LATERAL ({ranges}) AS held
    ORDER BY token.path, held.amount DESC, held.account_id LIMIT %(limit)s
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
    holding = [row for row in found if row[0] in tokens]
    holding.sort(key=lambda row: (tokens[row[0]].path, -row[1], row[2]))  # as the database's collation "C" does
    rows = [
        {
            "address": address,
            "tokenPath": tokens[token_id].path,
            "amount": int(amount),
            **beside(tokens[token_id], int(amount)),
        }
        for token_id, amount, _, address in holding
    ]
    searched = None if meant.complete_to is None else (meant.complete_to, -MAX_AMOUNT, LAST)
    return page_of(rows, part.limit, lambda row: (row["tokenPath"], row["amount"], row["address"]), searched=searched)


def _found(wanted: BalanceFilters, part: PageRequest) -> Stages[tuple[Meant, list[Row]]]:
    """The tokens that are meant, and up to three times `limit` + 1 of (token id, amount, account id, address), in no
    order.

    The next ones after the position are among them.
    """
    values: dict[str, Any] = {"limit": part.limit + 1, "least": wanted.least, "path": ""}
    if part.after:
        values["path"], values["amount"], values["address"] = part.after
    following = [f"{each} AND token.path > %(path)s" for each in _ranges(wanted)]
    if part.after:
        following += [f"{each} AND token.path = %(path)s" for each in _after(wanted, values["amount"])]
    join = _AT_ONCE.format(ranges=_union(following, "token.id"))
    one = yield from resolving_one(wanted.tokens, beside="token.id, held.holders", join=join, values=values)
    if one is not None:
        meant, ((token_id, held),) = one
        return meant, [(token_id, *holder) for holder in held or ()]
    path = values["path"]
    meant = yield from resolving(wanted.tokens, wanted.spelled_in, LOOKED_UP, path)
    tokens: Sequence[Resolved] = [token for token in meant.tokens if wanted.standard in (None, token.standard)]
    parts = []
    if same := [token.id for token in tokens if token.path == path]:
        values["token"] = same[0]
        parts = [_union(_after(wanted, values["amount"]), "%(token)s")]
    if rest := [token.id for token in tokens if token.path > path]:
        values["tokens"] = rest
        parts.append(_OF_TOKENS.format(ranges=_union(_ranges(wanted), "token.id")))
    if not parts:
        return meant, []
    union = " UNION ALL ".join(parts)
    return meant, (yield f"SELECT token_id, amount, account_id, {_ADDRESS} FROM ({union}) AS holder", values)  # noqa: S608  # our own constants


def _union(conditions: Sequence[str], token: str) -> str:
    return " UNION ALL ".join(_RANGE.format(of=token, condition=each) for each in conditions)


def _ranges(wanted: BalanceFilters) -> list[str]:
    """Conditions of the ranges that hold the amounts that pass the filters."""
    least = "" if wanted.least is None else " AND amount >= %(least)s"
    if wanted.least is not None and not wanted.include_zero:
        return [f"{_ABOVE_ZERO}{least}"]
    return [f"{_ABOVE_ZERO}{least}", f"{_ZERO_OR_BELOW}{least}" if wanted.include_zero else "amount < 0"]


def _after(wanted: BalanceFilters, amount: int) -> list[str]:
    """Conditions of the ranges that follow the position within its token."""
    sign = _ABOVE_ZERO if amount > 0 else _ZERO_OR_BELOW
    below = [f"amount < %(amount)s AND {each}" for each in _ranges(wanted)]
    last = "(SELECT id FROM accounts WHERE address = %(address)s)"
    return [f"{sign} AND amount = %(amount)s AND account_id > {last}", *below]
