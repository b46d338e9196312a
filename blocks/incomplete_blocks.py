"""Holes: heights that count as complete and whose block or transactions are not all stored.

A hole says nothing of what its block did: it is not an empty block. Hand-written SQL lives here.
"""

from bisect import bisect_right
from collections.abc import Sequence

from django.db import connection

from blocks.spans import Span

# One statement, so one snapshot: a window's rows and its coverage commit together.
_HOLES = """
SELECT lower(part), upper(part) - 1 FROM (
    SELECT range_agg(int8range(height, height, '[]')) AS heights FROM (
        SELECT generate_series(lower(part), upper(part) - 1) AS height
        FROM chain, unnest(coverage * int8multirange(int8range(%(first)s, %(last)s, '[]'))) AS part
    ) AS covered
    LEFT JOIN blocks USING (height)
    LEFT JOIN (
        SELECT block_height AS height, count(*) AS number, min(index) AS lowest, max(index) AS highest
        FROM transactions WHERE block_height BETWEEN %(first)s AND %(last)s GROUP BY block_height
    ) AS counted USING (height)
    WHERE num_txs IS NULL OR num_txs <> coalesce(number, 0) OR lowest < 0 OR highest >= num_txs
) AS found, unnest(heights) AS part ORDER BY 1
"""


def holes(first: int, last: int) -> list[Span]:
    """The holes among heights `first` to `last`, ascending. Costs one look at every block and transaction in them."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLES, {"first": first, "last": last})
        return [Span(*row) for row in cursor.fetchall()]


def contains(spans: Sequence[Span], height: int) -> bool:
    """Whether one of `spans`, ascending and disjoint, holds `height`."""
    position = bisect_right(spans, height, key=lambda span: span.first)
    return position > 0 and height <= spans[position - 1].last
