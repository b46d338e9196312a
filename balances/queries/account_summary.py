"""One account in a few numbers. Hand-written SQL lives here."""

from typing import Any

from django.db import connection

from balances.queries.scan_budgets import SCAN

# The ends of the two indexes that begin with the account; as ranges, so that no other way is thought shorter.
_END = """
SELECT block_height FROM transfers
WHERE ({column}, block_height) >= (account.id, 0) AND {column} <= account.id
ORDER BY {column} {order}, block_height {order}, tx_index {order}, event_index {order} LIMIT 1
"""

_SUMMARY = """
SELECT held.tokens, held.positive, held.transfers,
       least(({first_out}), ({first_in})), greatest(({last_out}), ({last_in}))
FROM accounts AS account CROSS JOIN LATERAL (
    SELECT count(*) AS tokens, count(*) FILTER (WHERE amount > 0) AS positive, sum(transfers) AS transfers
    FROM (SELECT amount, transfers FROM balances WHERE account_id = account.id LIMIT %(scan)s) AS counted
) AS held
WHERE account.address = %(address)s
"""
_ENDS = {
    f"{end}_{side}": _END.format(column=column, order=order)
    for end, order in (("first", "ASC"), ("last", "DESC"))
    for side, column in (("out", "from_account_id"), ("in", "to_account_id"))
}


def summary(address: str) -> dict[str, Any]:
    """Tokens held, number of transfers, first and last height; the numbers are None past `SCAN` tokens."""
    with connection.cursor() as cursor:
        cursor.execute(_SUMMARY.format(**_ENDS), {"address": address, "scan": SCAN + 1})
        tokens, positive, transfers, first, last = cursor.fetchone() or (0, 0, 0, None, None)
    many = tokens > SCAN
    return {
        "address": address,
        "tokensHeld": None if many else positive,
        "transfers": None if many else int(transfers or 0),
        "firstHeight": first,
        "lastHeight": last,
    }
