"""What an account held of a token along a period, at even distances: to draw. Hand-written SQL lives here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from balances.history import point_in_time
from balances.queries.account_token import find_pair
from balances.queries.as_of import heights
from balances.queries.block_times import LAST_BY, height_of, rfc3339
from balances.queries.errors import BadParameter
from balances.queries.filters import Period

MAX_POINTS = 500
DEFAULT_POINTS = 100

# Heights in an accepted gap have no block.
_ENDS = """
SELECT (SELECT time FROM blocks ORDER BY time LIMIT 1),
       (SELECT time FROM blocks WHERE height >= %(first)s ORDER BY height LIMIT 1),
       (SELECT time FROM blocks WHERE height <= %(last)s ORDER BY height DESC LIMIT 1)
"""
_TIMES = "SELECT height, time FROM blocks WHERE height = ANY(%s)"
_HEIGHTS = f"""
SELECT instant, {height_of(LAST_BY.format("instant"))} FROM unnest(%s::timestamptz[]) AS instant ORDER BY instant
"""  # noqa: S608  # our own constant


@dataclass(frozen=True, slots=True)
class Interval:
    """The distance of two points: so many blocks, or so much time."""

    blocks: int = 0
    time: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Point:
    """A height, and the time that is said of it; None where the block is in an accepted gap."""

    height: int
    time: datetime | None


def series(address: str, token: str, period: Period, interval: Interval | None) -> dict[str, Any]:
    """The points, ascending, the last one at the period's end.

    They are counted from the period's beginning; where the request does not say it, back from the end, as many as
    there may be. Without an interval they are `DEFAULT_POINTS` over the whole period. Raises `BadParameter` when there
    would be more than `MAX_POINTS`.
    """
    pair = find_pair(address, token)
    first, last, _ = heights(period)
    begins = period.from_height is not None or period.from_time is not None
    if interval is None:
        interval = Interval(blocks=max(1, -(-(last - first) // (DEFAULT_POINTS - 1))))
    if last < first:
        points = []
    elif interval.blocks:
        points = _by_blocks(first, last, interval.blocks, begins)
    else:
        points = _by_time(first, last, interval.time, period.from_time, begins)
    wanted = sorted({point.height for point in points})
    if pair.account is None or pair.token is None:
        amounts = dict.fromkeys(wanted, 0)
    else:
        amounts = dict(zip(wanted, point_in_time.points(pair.account, pair.token.id, wanted), strict=True))
    return {
        "address": pair.address,
        "tokenPath": pair.path,
        "points": [
            {
                "height": point.height,
                "time": None if point.time is None else rfc3339(point.time),
                "amount": amounts[point.height],
            }
            for point in points
        ],
    }


def _by_blocks(first: int, last: int, distance: int, begins: bool) -> list[Point]:
    if begins:
        _check((last - first - 1) // distance + 2)
        found = [*range(first, last, distance), last]
    else:
        found = [*range(last, first - 1, -distance)[:MAX_POINTS]][::-1]
    with connection.cursor() as cursor:
        cursor.execute(_TIMES, [found])
        times = dict(cursor.fetchall())
    return [Point(height, times.get(height)) for height in found]


def _by_time(first: int, last: int, distance: timedelta, start: datetime | None, begins: bool) -> list[Point]:
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, {"first": first, "last": last})
        earliest, begin, latest = cursor.fetchone()
        if begin is None or latest is None:
            return []
        instants = _from(start or begin, earliest, latest, distance) if begins else _back(latest, begin, distance)
        cursor.execute(_HEIGHTS, [instants])
        return [Point(height, instant) for instant, height in cursor.fetchall()]


def _from(start: datetime, earliest: datetime, latest: datetime, distance: timedelta) -> list[datetime]:
    """`start` and what follows it, but for what is before the first block; and `latest`."""
    skipped, number = (max(0, -((start - end) // distance)) for end in (earliest, latest))
    _check(number - skipped + 1)
    return [*(start + each * distance for each in range(skipped, number)), latest]


def _back(latest: datetime, begin: datetime, distance: timedelta) -> list[datetime]:
    return [latest - each * distance for each in range(min((latest - begin) // distance + 1, MAX_POINTS))]


def _check(number: int) -> None:
    if number > MAX_POINTS:
        raise BadParameter(
            "interval",
            f"{number} points",
            f"At most {MAX_POINTS}: a longer interval, or a shorter period",
        )
