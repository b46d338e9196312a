"""Transfers, newest first. Hand-written SQL lives here.

The order is the chain's, backwards: (height, transaction index, event index). Every side of a question (sent, received,
of a token) has an index in that order, so each gives its newest rows after the cursor and these are merged.
"""

from datetime import UTC, datetime
from typing import Any

from django.db import connection

from balances.api.pages import Page, page_of
from balances.api.parameters import Asked
from balances.api.tokens import resolve

_NEWEST = """
SELECT block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount
FROM transfers WHERE {conditions}
ORDER BY {order}block_height DESC, tx_index DESC, event_index DESC LIMIT %(limit)s
"""

_OF_TOKENS = "SELECT moved.* FROM unnest(%(tokens)s::int[]) AS token (id) CROSS JOIN LATERAL ({newest}) AS moved"

# The page first, then what belongs to its rows, by primary key.
_PAGE = """
WITH page AS MATERIALIZED (
    SELECT * FROM ({found}) AS found
    ORDER BY block_height DESC, tx_index DESC, event_index DESC LIMIT %(limit)s
)
SELECT page.block_height, page.tx_index, page.event_index, page.from_account_id, page.to_account_id, page.amount,
       tokens.path, sender.address, recipient.address, blocks.time, transactions.hash
FROM page
JOIN tokens ON tokens.id = page.token_id
LEFT JOIN accounts AS sender ON sender.id = page.from_account_id
LEFT JOIN accounts AS recipient ON recipient.id = page.to_account_id
LEFT JOIN blocks ON blocks.height = page.block_height
LEFT JOIN transactions ON transactions.block_height = page.block_height AND transactions.index = page.tx_index
ORDER BY page.block_height DESC, page.tx_index DESC, page.event_index DESC
"""

_AFTER = "({of}block_height, tx_index, event_index) < ({value}%(height)s, %(tx_index)s, %(event_index)s)"
_ACCOUNT = "(SELECT id FROM accounts WHERE address = %(address)s)"


def transfers(asked: Asked) -> Page:
    """Transfers from or to `asked.address` and of the tokens that `asked.token` means, or all; newest first."""
    values: dict[str, Any] = {"limit": asked.limit + 1, "address": asked.address}
    if asked.after:
        values |= dict(zip(("height", "tx_index", "event_index"), asked.after, strict=True))
    if asked.token is not None:
        values["tokens"] = [token.id for token in resolve(asked.token)]
        if not values["tokens"]:
            return Page([], None)
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(found=_found(asked)), values)
        rows = [_row(*row) for row in cursor.fetchall()]
    return page_of(rows, asked.limit, lambda row: (row["blockHeight"], row["txIndex"], row["eventIndex"]))


def _found(asked: Asked) -> str:
    """The query of the newest transfers after the cursor, in no order; up to a page of them from each side."""
    if asked.address is not None:
        also = "" if asked.token is None else " AND token_id = ANY(%(tokens)s)"
        sent, received = (_newest_of(side, _ACCOUNT, asked, also) for side in ("from_account_id", "to_account_id"))
        # UNION, not UNION ALL: who sends to himself is on both sides, and did so once.
        return f"({sent}) UNION ({received})"
    if asked.token is not None:
        return _OF_TOKENS.format(newest=_newest_of("token_id", "token.id", asked))
    return _NEWEST.format(conditions=_AFTER.format(of="", value="") if asked.after else "true", order="")


def _newest_of(column: str, value: str, asked: Asked, also: str = "") -> str:
    """The newest transfers with `value` in `column`, by the index that begins with it.

    Written as a range, and ordered by the column as well: of `column = value` PostgreSQL would think that walking all
    transfers backwards finds some soon, which is true of most tokens, and for a rare one reads the whole table.
    """
    bound = _AFTER.format(of=f"{column}, ", value=f"{value}, ") if asked.after else f"{column} <= {value}"
    return _NEWEST.format(conditions=f"{column} >= {value} AND {bound}{also}", order=f"{column} DESC, ")


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
    time: datetime | None,
    tx_hash: str | None,
) -> dict[str, Any]:
    kind = "mint" if sender_id is None else "burn" if recipient_id is None else "transfer"
    return {
        "fromAddress": sender or "",
        "toAddress": recipient or "",
        "tokenPath": token,
        "amount": int(amount),
        "type": kind,
        "blockHeight": height,
        "blockTime": None if time is None else rfc3339(time),
        "txHash": tx_hash,
        "txIndex": tx_index,
        "eventIndex": event_index,
    }


def rfc3339(time: datetime) -> str:
    """The time as RFC 3339 in UTC, to the microsecond."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
