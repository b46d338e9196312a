"""Segments of the chain, by which transfers are indexed by account. Hand-written SQL lives here.

An index of all transfers by account takes each new one to a page of its own, of gigabytes that no cache holds. So the
two indexes by account begin with the segment: what is new goes into the part of the newest one, which stays near the
processor. Who asks for an account looks into each segment once, so there are few: another one begins when the table of
transfers has grown by `LEAST_BYTES` since the last one did, or, later, by a share of itself.

A segment is named by its first height, so the order by segment and height is the order by height. The first one is
0, `transfer_segments` has the others; another one begins above all that is applied, while nobody applies.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import psycopg
from django.db import OperationalError, connection, transaction

from events import ledger_lock

LEAST_BYTES = 80 << 20
"""By so much, about a million rows, `transfers` grows before another segment begins."""

SHARE = 8
"""And by one part in so many: the number of segments grows with the logarithm of the history."""

MOST_MOVED = 20_000
"""Transfers beyond a hole that are moved to a segment of their own; where there are more, they stay where they are."""

PATIENCE_SECONDS = 1.0
"""Longest wait for those who apply: all who come stand behind."""

LAST = 2**63 - 1
"""No height is above it."""

_OF = "segment = ANY(0::bigint || ARRAY(SELECT first_height FROM transfer_segments {condition}))"

EVERY = _OF.format(condition="")
"""SQL that is true of every transfer: the indexes by account are used only where something is said of the segment."""

_FULL = f"""
SELECT first, following, size FROM pg_relation_size('transfers') AS size, (
    SELECT coalesce(max(first_height) FILTER (WHERE first_height <= %(height)s), 0) AS first,
           coalesce(min(first_height) FILTER (WHERE first_height > %(height)s), {LAST}) AS following,
           coalesce(max(bytes_before), 0) AS size_then
    FROM transfer_segments
) AS segment
WHERE size - size_then >= greatest(%(least)s, size / %(share)s)
"""  # noqa: S608  # our own constants

# The synchronizer follows the tip while it fills in what is before: the widest hole of a segment is where it works.
_HOLE = """
SELECT upper(hole) FROM unnest(
    (SELECT int8multirange(int8range(lowest, greatest(lowest, least(%(following)s, upper(coverage))))) - coverage
     FROM (SELECT greatest(%(first)s, start_height) AS lowest, coverage FROM chain) AS wanted)
    - coalesce((SELECT range_agg(int8range(first_height, last_height, '[]')) FROM accepted_gaps), '{}')
) AS hole ORDER BY upper(hole) - lower(hole) DESC LIMIT 1
"""

_TRANSFERS = """
SELECT (SELECT max(block_height) FROM transfers WHERE block_height >= %(first)s AND block_height < %(hole)s),
       (SELECT count(*) FROM (
           SELECT FROM transfers WHERE block_height >= %(hole)s AND block_height < %(following)s LIMIT %(most)s + 1
       ) AS beyond)
"""

_BEGIN = "INSERT INTO transfer_segments (first_height, bytes_before) VALUES (%s, %s)"

_MOVE = "UPDATE transfers SET segment = %(to)s WHERE block_height >= %(to)s AND block_height < %(following)s"


class Busy(Exception):
    """Whoever applies has not come to an end in `PATIENCE_SECONDS`."""


class _Cut(NamedTuple):
    """How a full segment is cut: where others begin in it, one or two, and where the one after it does."""

    begins: list[int]
    following: int
    size: int


def holding(height: str) -> str:
    """The segment that holds a height, as `height` an SQL expression."""
    return f"coalesce((SELECT max(first_height) FROM transfer_segments WHERE first_height <= {height}), 0)"  # noqa: S608  # as above


def between(low: str, high: str) -> str:
    """As `EVERY`, of transfers of heights from `low` to `high`, each an SQL expression.

    Segments that have none of them are left out, but for the first one: to ask whether is no cheaper than to look.
    """
    return _OF.format(condition=f"WHERE first_height >= {holding(low)} AND first_height <= {high}")


def first_heights() -> list[int]:
    """Where segments begin, ascending; nothing changes that while the caller's transaction has passed the gate."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT first_height FROM transfer_segments ORDER BY first_height")
        return [0, *(row[0] for row in cursor.fetchall())]


def segment_of(height: int, begins: Sequence[int]) -> int:
    """The first height of the segment that holds `height`; `begins` as `first_heights` gives them."""
    return begins[bisect_right(begins, height) - 1]


def begin_another(height: int) -> bool:
    """Begin a segment above what is applied if the one that holds `height` is full; whether it did.

    Outside of a transaction. Raises `Busy`: it can wait.
    """
    if _cut(height) is None:
        return False
    try:
        with transaction.atomic():
            # Who applies now has read where segments begin: he is waited for.
            ledger_lock.close(PATIENCE_SECONDS)
            cut = _cut(height)
            if cut is not None:
                _make(cut)
            return cut is not None
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise
        raise Busy(f"a batch of somebody else takes longer than {PATIENCE_SECONDS} s") from error


def _make(cut: _Cut) -> None:
    with connection.cursor() as cursor:
        for begin in cut.begins:
            cursor.execute(_BEGIN, [begin, cut.size])
        if len(cut.begins) > 1:
            cursor.execute(_MOVE, {"to": cut.begins[1], "following": cut.following})


def _cut(height: int) -> _Cut | None:
    """None unless it is time, and there is room above what is applied."""
    with connection.cursor() as cursor:
        cursor.execute(_FULL, {"height": height, "least": LEAST_BYTES, "share": SHARE})
        row = cursor.fetchone()
        if row is None:
            return None
        first, following, size = row
        places = {"first": first, "following": following, "most": MOST_MOVED}
        cursor.execute(_HOLE, places)
        (places["hole"],) = cursor.fetchone() or (following,)
        cursor.execute(_TRANSFERS, places)
        top, beyond = cursor.fetchone()
        if beyond > MOST_MOVED:
            places["hole"], beyond = following, 0
            cursor.execute(_TRANSFERS, places)
            top, _ = cursor.fetchone()
    if top is None or top + 1 >= places["hole"]:
        return None
    return _Cut([top + 1, places["hole"]] if beyond else [top + 1], following, size)
