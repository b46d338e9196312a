"""The transfers that made a balance, oldest first (docs/history.md). Hand-written SQL lives here.

An account's history is read in stretches, from mark to mark: a checkpoint of the pair ends each stretch in which it
moved, so those in which it did not are never read. Each function reads the caller's snapshot.
"""

from dataclasses import dataclass

from django.db import connection

from balances.history.point_in_time import MARK, points

Place = tuple[int, int, int]
"""height, transaction index, event index."""

# What an account sends to itself is on both sides, and is one transfer.
_SIDES = """
SELECT block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount FROM transfers
WHERE from_account_id = %(account)s AND {condition}
UNION ALL
SELECT block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount FROM transfers
WHERE to_account_id = %(account)s AND from_account_id IS DISTINCT FROM %(account)s AND {condition}
"""

_AFTER = "(block_height, tx_index, event_index) {} (%(height)s, %(tx_index)s, %(event_index)s)"

_LATER = _SIDES.format(condition=f"block_height > low AND block_height <= high AND {_AFTER.format('>')}")
_BEFORE = _SIDES.format(condition=f"block_height = %(height)s AND {_AFTER.format('<=')}")

# Every stretch but the first holds a transfer of the pair. The token is no condition on an index: see `point_in_time`.
PAGE = f"""
SELECT found.* FROM (
    SELECT low, high FROM (
        SELECT {MARK.format(account="%(account)s", height="%(last)s")} AS mark
    ) AS known CROSS JOIN LATERAL (
        (SELECT checkpoints.block_height AS high, coalesce((
            SELECT max(marks.block_height) FROM checkpoint_marks AS marks
            WHERE marks.account_id = %(account)s AND marks.block_height < checkpoints.block_height
         ), -1) AS low
         FROM balance_checkpoints AS checkpoints
         WHERE checkpoints.account_id = %(account)s AND checkpoints.token_id = %(token)s
           AND checkpoints.block_height >= %(height)s AND checkpoints.block_height <= mark
         ORDER BY checkpoints.block_height LIMIT %(most)s + 1)
        UNION ALL
        SELECT %(last)s, mark
    ) AS parts ORDER BY high, low
) AS stretches CROSS JOIN LATERAL (
    SELECT * FROM (
        {_LATER}
    ) AS sides WHERE token_id + 0 = %(token)s
) AS found
ORDER BY high, low, found.block_height, found.tx_index, found.event_index LIMIT %(most)s
"""  # noqa: S608  # our own constants
"""The first `most` transfers of the pair after a place and up to the height `last`, in order, by the columns of
`transfers`; its values are those of `Part.values`."""

_WITHIN = f"""
SELECT coalesce(sum(CASE WHEN from_account_id IS NOT DISTINCT FROM to_account_id THEN 0
                         WHEN to_account_id = %(account)s THEN amount ELSE -amount END), 0)
FROM ({_BEFORE}) AS sides
WHERE token_id + 0 = %(token)s
"""  # noqa: S608  # our own constants


@dataclass(frozen=True, slots=True)
class Part:
    """What an account did of a token after `after` and up to the height `last`; `first`: where the period began."""

    account: int
    token: int
    first: int
    last: int
    after: Place

    def values(self, most: int) -> dict[str, int]:
        height, tx_index, event_index = self.after
        return {
            "account": self.account,
            "token": self.token,
            "last": self.last,
            "height": height,
            "tx_index": tx_index,
            "event_index": event_index,
            "most": most,
        }


def balances_of(period: Part) -> tuple[int, int, int]:
    """What was held before the first height, at the place after which the period goes on, and at its last height."""
    heights = sorted({period.first - 1, period.after[0] - 1, period.last})
    at = dict(zip(heights, points(period.account, period.token, heights), strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_WITHIN, period.values(0))
        within = int(cursor.fetchone()[0])
    return at[period.first - 1], at[period.after[0] - 1] + within, at[period.last]
