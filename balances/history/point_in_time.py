"""Balances as of a height, from checkpoints and the movements after them (docs/history.md).

Each function reads the caller's snapshot. Whether a height is indexed is not looked at: above that, what is in is added
up. Amounts are raw units. Hand-written SQL lives here.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from django.db import connection

from balances.history.checkpoints import NOBODY

# The account's last mark that counts at or below a height; −1 where it has none: its whole history is read.
MARK = """coalesce((
    SELECT block_height FROM checkpoint_marks AS marks
    WHERE marks.account_id = {account}
      AND marks.block_height <= least({height}, (SELECT height FROM checkpoint_walk))
    ORDER BY block_height DESC LIMIT 1
), -1)"""

_CHECKPOINT = """(
    SELECT balance FROM balance_checkpoints AS checkpoints
    WHERE checkpoints.account_id = {account} AND checkpoints.token_id = {of} AND checkpoints.block_height <= mark
    ORDER BY checkpoints.block_height DESC LIMIT 1
)"""

# Movements of an account after its mark, by its own indexes. The token is no condition, lest PostgreSQL read all that
# was ever moved of the token instead.
_SIDE = """
SELECT block_height, token_id, {sign}amount AS amount FROM transfers
WHERE {side} AND block_height > mark AND block_height <= {height}
"""

_AMOUNTS = f"""
WITH pairs AS (
    SELECT * FROM unnest(%(accounts)s::bigint[], %(tokens)s::int[]) AS given (account_id, token_id)
),
owners AS MATERIALIZED (
    SELECT account_id, {MARK.format(account="owner.account_id", height="%(height)s")} AS mark
    FROM (SELECT DISTINCT account_id FROM pairs) AS owner
),
moved AS MATERIALIZED (
    SELECT owners.account_id, token_id, sum(amount) AS amount FROM owners CROSS JOIN LATERAL (
        {_SIDE.format(sign="", side="to_account_id = owners.account_id", height="%(height)s")} UNION ALL
        {_SIDE.format(sign="-", side="from_account_id = owners.account_id", height="%(height)s")} UNION ALL
        {_SIDE.format(sign="", side="owners.account_id = 0 AND to_account_id IS NULL", height="%(height)s")} UNION ALL
        {_SIDE.format(sign="-", side="owners.account_id = 0 AND from_account_id IS NULL", height="%(height)s")}
    ) AS sides GROUP BY owners.account_id, token_id
)
SELECT pairs.account_id, pairs.token_id, coalesce(known.balance, 0) + coalesce(moved.amount, 0)
FROM pairs JOIN owners ON owners.account_id = pairs.account_id
LEFT JOIN LATERAL {_CHECKPOINT.format(account="pairs.account_id", of="pairs.token_id")} AS known ON true
LEFT JOIN moved ON (moved.account_id, moved.token_id) = (pairs.account_id, pairs.token_id)
WHERE known.balance IS NOT NULL OR moved.token_id IS NOT NULL
"""  # noqa: S608  # our own constants

AMOUNT = f"""(
    SELECT CASE WHEN known.balance IS NOT NULL OR moved.number > 0
           THEN coalesce(known.balance, 0) + coalesce(moved.amount, 0) END
    FROM (SELECT {MARK} AS mark OFFSET 0) AS owner
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE token_id = {{of}}) AS number,
               sum(amount) FILTER (WHERE token_id = {{of}}) AS amount
        FROM (
            {_SIDE.format(sign="", side="to_account_id = {account}", height="{height}")} UNION ALL
            {_SIDE.format(sign="-", side="from_account_id = {account}", height="{height}")}
        ) AS sides
    ) AS moved
    LEFT JOIN LATERAL {_CHECKPOINT} AS known ON true
)"""  # noqa: S608  # our own constants
"""What `account` held of the token `of` at `height`, each of them an expression; NULL where it had not moved by then.
Costs fewer movements of the account than a stretch has."""

# Several heights may have one mark: the movements after it are read once, up to the highest of these heights.
_POINTS = f"""
WITH points AS MATERIALIZED (
    SELECT height, number, {MARK.format(account="%(account)s", height="given.height")} AS mark
    FROM unnest(%(heights)s::bigint[]) WITH ORDINALITY AS given (height, number)
),
moved AS (
    SELECT mark, width_bucket(block_height - 1, %(heights)s::bigint[]) + 1 AS number,
           sum(amount) FILTER (WHERE token_id = %(token)s) AS amount
    FROM (SELECT mark, max(height) AS highest FROM points GROUP BY mark) AS stretches
    CROSS JOIN LATERAL (
        {_SIDE.format(sign="", side="to_account_id = %(account)s", height="highest")} UNION ALL
        {_SIDE.format(sign="-", side="from_account_id = %(account)s", height="highest")}
    ) AS sides GROUP BY 1, 2
)
SELECT coalesce({_CHECKPOINT.format(account="%(account)s", of="%(token)s")}, 0)
       + coalesce(sum(moved.amount) OVER (PARTITION BY mark ORDER BY number), 0)
FROM points LEFT JOIN moved USING (mark, number) ORDER BY number
"""  # noqa: S608  # our own constants


def amounts_at(height: int, pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """What was held at `height`, by (account id, token id), of those `pairs` that had moved by then.

    Costs, for each account, fewer movements than a stretch has, and for each pair a look-up.
    """
    if not pairs:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(*asking_amounts(height, pairs))
        return amounts_of(cursor.fetchall())


def asking_amounts(height: int, pairs: Collection[tuple[int, int]]) -> tuple[str, dict[str, Any]]:
    """The statement, with its values, whose rows `amounts_of` understands; as `amounts_at`, of at least one pair."""
    accounts, tokens = zip(*pairs, strict=True)
    return _AMOUNTS, {"accounts": list(accounts), "tokens": list(tokens), "height": height}


def amounts_of(rows: Iterable[Sequence[Any]]) -> dict[tuple[int, int], int]:
    """As `amounts_at`."""
    return {(account, token): int(amount) for account, token, amount in rows}


def supplies_at(height: int, tokens: Collection[int]) -> dict[int, int]:
    """Minted less burned up to `height`, by token id, of those `tokens` that were minted or burned by then."""
    nobodys = amounts_at(height, [(NOBODY, token) for token in tokens])
    return {token: -amount for (_, token), amount in nobodys.items()}


def points(account: int, token: int, heights: Sequence[int]) -> list[int]:
    """What `account` held of `token` at each of `heights`, which ascend.

    Costs at most a stretch of the account's movements for each height, and no movement twice.
    """
    with connection.cursor() as cursor:
        cursor.execute(_POINTS, {"account": account, "token": token, "heights": list(heights)})
        return [int(amount) for (amount,) in cursor.fetchall()]
