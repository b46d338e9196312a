"""Transfers in chain order, newest first unless told otherwise. Hand-written SQL lives here."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from balances.queries.account_balances import ACCOUNTS
from balances.queries.block_times import FIRST_FROM, LAST_BY, height_of
from balances.queries.filters import TransferFilters
from balances.queries.index_scans import COLUMNS, Between, Walk, end_of_scan, first_found
from balances.queries.page import Page, PageRequest, page_of
from balances.queries.scan_budgets import MERGED, SCAN
from balances.queries.staged_query import StagedQuery, Stages
from balances.queries.token_lookup import Meant, resolving

# The page first, then what belongs to its rows, by primary key. Each account once: one of the two is that of most rows.
_PAGE = """
WITH page AS MATERIALIZED ({found}),
named AS MATERIALIZED (
    SELECT id, address FROM accounts
    WHERE id = ANY(ARRAY(SELECT from_account_id FROM page UNION SELECT to_account_id FROM page))
)
SELECT page.block_height, page.tx_index, page.event_index, page.from_account_id, page.to_account_id, page.amount,
       tokens.path, sender.address, recipient.address, transactions.hash,
       to_char(blocks.time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
FROM page
JOIN tokens ON tokens.id = page.token_id
LEFT JOIN named AS sender ON sender.id = page.from_account_id
LEFT JOIN named AS recipient ON recipient.id = page.to_account_id
LEFT JOIN blocks ON blocks.height = page.block_height
LEFT JOIN transactions ON transactions.block_height = page.block_height AND transactions.index = page.tx_index
ORDER BY page.block_height {order}, page.tx_index {order}, page.event_index {order}
"""

_OF_TRANSACTIONS = f"""
SELECT found.* FROM unnest(%(heights)s::bigint[], %(indexes)s::int[]) AS asked (height, index)
CROSS JOIN LATERAL (
    SELECT {COLUMNS} FROM transfers WHERE block_height = height AND tx_index = index
    ORDER BY event_index LIMIT %(most)s
) AS found
"""  # noqa: S608  # our own constant

_HEIGHTS = f"SELECT {height_of(FIRST_FROM.format('%(from_time)s'))}, {height_of(LAST_BY.format('%(to_time)s'))}"

_COUNTERPARTY = "(SELECT id FROM accounts WHERE address = %(counterparty)s)"
# Who never had a token has no transfers of it.
_ACCOUNTS_WITH_TOKENS = f"""
ARRAY(SELECT DISTINCT account_id FROM balances WHERE account_id = ANY({ACCOUNTS}) AND token_id = ANY(%(tokens)s))
"""  # noqa: S608  # our own constant

_TYPES = {
    "mint": "from_account_id IS NULL",
    "burn": "to_account_id IS NULL",
    "transfer": "(from_account_id IS NOT NULL AND to_account_id IS NOT NULL)",
}
_STANDARD = "(SELECT standard FROM tokens WHERE id = token_id) = %(standard)s"
_OF_MANY = """
EXISTS (
    SELECT FROM tokens WHERE id = token_id AND (
        path = ANY(%(path)s) OR key = ANY(%(key)s)
        OR realm = ANY(%(realm)s) OR split_part(realm, '#', 1) = ANY(%(realm)s)
    )
)
"""


@StagedQuery
def transfers(wanted: TransferFilters, part: PageRequest) -> Stages[Page]:
    """The transfers that fulfil every filter."""
    between = yield from _between(wanted, part)
    meant = (yield from resolving(wanted.tokens, wanted.spelled_in, MERGED)) if wanted.tokens else None
    if between is None or (meant is not None and not meant.tokens):
        return Page([], None)
    values: dict[str, Any] = {
        "limit": part.limit + 1,
        "scan": SCAN + 1,
        "addresses": list(wanted.addresses),
        "counterparty": wanted.counterparty,
        "least": wanted.least,
        "standard": wanted.standard,
    }
    if meant is not None:
        values |= {"tokens": [token.id for token in meant.tokens], **meant.kinds}
    walks, also, each = _ways(wanted, meant)
    searched = None
    if also or each <= part.limit:
        searched = yield from end_of_scan(walks, each, between, values)
        between = between if searched is None else between.up_to(searched)
    found = first_found(walks, between, also)
    found_rows = yield _PAGE.format(found=found, order=between.order), values | between.values()
    rows = [_row(*row) for row in found_rows]
    return page_of(
        rows, part.limit, lambda row: (row["blockHeight"], row["txIndex"], row["eventIndex"]), searched=searched
    )


def of_transactions(places: Sequence[tuple[int, int]], most: int) -> list[dict[str, Any]]:
    """The first `most` transfers of each of these transactions, (height, index); all in chain order."""
    heights, indexes = [height for height, _ in places], [index for _, index in places]
    return told(_OF_TRANSACTIONS, {"heights": heights, "indexes": indexes, "most": most})


def told(found: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The transfers that `found`, SQL with the columns `walks.COLUMNS`, gives; in chain order."""
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(found=found, order="ASC"), values)
        return [_row(*row) for row in cursor.fetchall()]


def _between(wanted: TransferFilters, part: PageRequest) -> Stages[Between | None]:
    """The part of the chain to look at; None when no block is of the times."""
    low, high = wanted.from_height or 0, wanted.to_height
    if wanted.from_time is not None or wanted.to_time is not None:
        ((first, last),) = yield _HEIGHTS, {"from_time": wanted.from_time, "to_time": wanted.to_time}
        if (wanted.from_time is not None and first is None) or (wanted.to_time is not None and last is None):
            return None
        low = max(low, first or 0)
        high = last if high is None else min(high, high if last is None else last)
    between = Between((low, 0, 0), Between().high if high is None else (high + 1, 0, 0), wanted.ascending)
    return between if part.after is None else between.after(part.after)


def _ways(wanted: TransferFilters, meant: Meant | None) -> tuple[list[Walk], str, int]:
    """The walks, what they cannot tell as a condition, and how many transfers each may see."""
    also = _always(wanted)
    if meant is None or meant.complete_to is not None:
        number = 2 * len(wanted.addresses) or 1
        if meant is not None:
            also.append(_OF_MANY)
        walks = _of_accounts(wanted, ACCOUNTS) if wanted.addresses else [Walk()]
    elif not wanted.addresses:
        number = len(meant.tokens)
        walks = [Walk("token_id", "%(tokens)s::int[]")]
    elif sum(token.transfers for token in meant.tokens) <= SCAN:
        # Fewer than the accounts may have: all of them can be looked at.
        also += [_sides(wanted)] if wanted.counterparty is None else []
        return [Walk("token_id", "%(tokens)s::int[]")], _and(also), SCAN + 1
    else:
        number = 2 * len(wanted.addresses)
        also.append("token_id = ANY(%(tokens)s)")
        walks = _of_accounts(wanted, _ACCOUNTS_WITH_TOKENS)
    return walks, _and(also), SCAN // number


def _of_accounts(wanted: TransferFilters, ids: str) -> list[Walk]:
    columns = {None: ("from_account_id", "to_account_id"), "out": ("from_account_id",), "in": ("to_account_id",)}
    return [Walk(column, ids) for column in columns[wanted.direction]]


def _sides(wanted: TransferFilters) -> str:
    sides = {"out": f"from_account_id = ANY({ACCOUNTS})", "in": f"to_account_id = ANY({ACCOUNTS})"}
    if wanted.counterparty is not None:
        sides["out"] += f" AND to_account_id = {_COUNTERPARTY}"
        sides["in"] += f" AND from_account_id = {_COUNTERPARTY}"
    return f"(({sides['out']}) OR ({sides['in']}))" if wanted.direction is None else f"({sides[wanted.direction]})"


def _always(wanted: TransferFilters) -> list[str]:
    """Conditions that no index has, whichever way is gone."""
    also = []
    if wanted.counterparty is not None:
        also.append(_sides(wanted))
    if wanted.types:
        also.append("(" + " OR ".join(_TYPES[each] for each in wanted.types) + ")")
    if wanted.least is not None:
        also.append("amount >= %(least)s")
    if wanted.standard is not None:
        also.append(_STANDARD)
    return also


def _and(conditions: list[str]) -> str:
    return " AND ".join(conditions)


def _row(
    height: int,
    tx_index: int,
    event_index: int,
    sender_id: int | None,
    recipient_id: int | None,
    amount: Any,
    token: str,
    sender: str | None,
    recipient: str | None,
    tx_hash: str | None,
    time: str | None,
) -> dict[str, Any]:
    kind = "mint" if sender_id is None else "burn" if recipient_id is None else "transfer"
    return {
        "fromAddress": sender or "",
        "toAddress": recipient or "",
        "tokenPath": token,
        "amount": int(amount),
        "type": kind,
        "blockHeight": height,
        "blockTime": time,
        "txHash": tx_hash,
        "txIndex": tx_index,
        "eventIndex": event_index,
    }
