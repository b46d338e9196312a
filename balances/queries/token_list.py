"""Lists of tokens, by path: with the sum over all accounts, or with all that is known of each.

In lists of all tokens those of scripts come after the others (`Token.listing_key`).

Hand-written SQL lives here.
"""

from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from balances.models import Token
from balances.queries.filters import BalanceFilters, TokenFilters
from balances.queries.page import Page, PageRequest, page_of
from balances.queries.scan_budgets import LOOKED_UP, SCAN
from balances.queries.token_lookup import described, resolve, supply
from balances.token_flags import listing_key, path_listed

# Written as a range and ordered by the token as well: else PostgreSQL would walk along all of them from the beginning.
_FIRST = """
SELECT first.* FROM unnest(%(tokens)s::int[]) AS token (id) CROSS JOIN LATERAL (
    SELECT token_id, block_height, tx_index, event_index FROM {table}
    WHERE (token_id, block_height) >= (token.id, 0) AND token_id <= token.id
    ORDER BY token_id, block_height, tx_index, event_index LIMIT 1
) AS first
"""

_FIRST_SEEN = f"""
SELECT seen.token_id, seen.block_height, transactions.hash FROM (
    SELECT DISTINCT ON (token_id) token_id, block_height, tx_index
    FROM ({_FIRST.format(table="transfers")} UNION ALL {_FIRST.format(table="announcements")}) AS events
    ORDER BY token_id, block_height, tx_index, event_index
) AS seen
LEFT JOIN transactions ON transactions.block_height = seen.block_height AND transactions.index = seen.tx_index
"""  # noqa: S608  # our own constants


def sums(wanted: BalanceFilters, part: PageRequest) -> Page:
    """Every token with the sum over all accounts.

    The sum is minted less burned, which is kept with the transfers: each transfer adds to one account what it takes
    from another, so adding up the balances gives the same.
    """
    tokens, searched = _walked(wanted, part)
    if not wanted.include_zero:
        tokens = tokens.exclude(supply=0)
    if wanted.least is not None:
        tokens = tokens.filter(supply__gte=wanted.least)
    rows = [
        {"tokenPath": token.path, "amount": int(token.supply), **described(token, token.supply)}
        for token in tokens[: part.limit + 1]
    ]
    return _page(rows, part, searched)


def tokens(wanted: TokenFilters, part: PageRequest) -> Page:
    """Every token, with what is kept of its transfers, and where it was seen first."""
    found, searched = _walked(wanted, part)
    if wanted.search:
        looked_for = wanted.search
        found = found.filter(
            Q(path__icontains=looked_for) | Q(name__icontains=looked_for) | Q(symbol__icontains=looked_for)
        )
    listed = list(found.select_related("totals")[: part.limit + 1])
    first = _first_seen([token.id for token in listed])
    return _page([_row(token, *first.get(token.id, (None, None))) for token in listed], part, searched)


def _walked(wanted: BalanceFilters | TokenFilters, part: PageRequest) -> tuple[QuerySet[Any], str | None]:
    """The tokens that are meant, or all, after the slice's position; and the path they end at, when there are more."""
    after = part.after[0] if part.after else ""
    every = Token.objects.annotate(supply=supply())
    if wanted.tokens:
        meant = resolve(wanted.tokens, wanted.spelled_in, LOOKED_UP // len(wanted.tokens), after)
        searched = meant.complete_to
        # By path and not by id, for which PostgreSQL may walk along all paths from the beginning.
        paths = [token.path for token in meant.tokens if token.path > after]
        found = every.filter(path__in=paths).order_by("path")
    else:
        found = every.filter(listing_key__gt=listing_key(after)).order_by("listing_key")
        keys = Token.objects.filter(listing_key__gt=listing_key(after)).order_by("listing_key")
        key = keys.values_list("listing_key", flat=True)[SCAN - 1 : SCAN].first()
        if key is not None:
            found = found.filter(listing_key__lte=key)
        searched = key and path_listed(key)
    if wanted.standard is not None:
        found = found.filter(standard=wanted.standard)
    return found, searched


def _first_seen(tokens: list[int]) -> dict[int, tuple[int, str | None]]:
    """Height and transaction of the first transfer or announcement of each of `tokens`."""
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_SEEN, {"tokens": tokens})
        return {token: (height, tx_hash) for token, height, tx_hash in cursor.fetchall()}


def _row(token: Any, height: int | None, tx_hash: str | None) -> dict[str, Any]:
    totals = getattr(token, "totals", None)
    return {
        "tokenPath": token.path,
        "supply": int(token.supply),
        "minted": int(totals.minted) if totals else 0,
        "burned": int(totals.burned) if totals else 0,
        "holders": totals.holders if totals else 0,
        "transfers": totals.transfers if totals else 0,
        "standard": token.standard,
        "firstSeenHeight": height,
        "firstSeenTxHash": tx_hash,
        **described(token, token.supply),
    }


def _page(rows: list[dict[str, Any]], part: PageRequest, searched: str | None) -> Page:
    return page_of(
        rows, part.limit, lambda row: (row["tokenPath"],), searched=None if searched is None else (searched,)
    )
