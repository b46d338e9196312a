"""Which heights a question about the past means: one height or moment, or a period. Hand-written SQL lives here.

What is above the indexed height may still change: one moment above it is refused, and a period ends there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from balances.indexed_height import INDEXED_HEIGHT_SQL, IndexedHeight, indexed_height_of
from balances.queries.block_times import FIRST_FROM, LAST_BY, NEXT_AFTER, height_of, rfc3339
from balances.queries.errors import BadParameter, NotIndexed
from balances.queries.filters import Period, When
from balances.queries.staged_query import Statement

_AT_HEIGHT = f"""
SELECT progress.start_height AS begun, %(height)s::bigint AS meant,
       (SELECT time FROM blocks WHERE height = %(height)s) AS moment, NULL::bigint AS following, progress.*
FROM ({INDEXED_HEIGHT_SQL}) AS progress
"""  # noqa: S608  # our own constant

_AT_TIME = f"""
SELECT progress.start_height AS begun, last.height AS meant, last.time AS moment,
       {height_of(NEXT_AFTER.format("%(time)s"))} AS following, progress.*
FROM ({INDEXED_HEIGHT_SQL}) AS progress LEFT JOIN LATERAL ({LAST_BY.format("%(time)s")}) AS last ON true
"""  # noqa: S608  # our own constants

_PERIOD = f"""
SELECT progress.start_height, {height_of(FIRST_FROM.format("%(from_time)s"))},
       {height_of(LAST_BY.format("%(to_time)s"))},
       progress.*
FROM ({INDEXED_HEIGHT_SQL}) AS progress
"""  # noqa: S608  # our own constants


@dataclass(frozen=True, slots=True)
class Moment:
    """A height that is indexed, and the time of its block; None where the block is in an accepted gap."""

    height: int
    time: datetime | None

    def members(self) -> dict[str, Any]:
        return {"height": self.height, "time": None if self.time is None else rfc3339(self.time)}


def moment(when: When) -> Moment:
    """The moment that is meant, in the caller's snapshot: at a time, the last block up to then.

    Raises `NotIndexed` when it is not known for sure yet, and `BadParameter` when it is before everything.
    """
    with connection.cursor() as cursor:
        cursor.execute(*asking(when))
        return moment_of(when, cursor.fetchone())


def asking(when: When) -> Statement:
    """The statement whose row `moment_of` understands; its column `meant` is the height."""
    if when.time is None:
        return _AT_HEIGHT, {"height": when.height}
    return _AT_TIME, {"time": when.time}


def moment_of(when: When, found: Sequence[Any] | None) -> Moment:
    """As `moment`."""
    start, height, time, following, *row = found or (0, when.height, None, None)
    indexed = indexed_height_of(row or None).height
    name, asked = ("height", str(when.height)) if when.time is None else ("time", rfc3339(when.time))
    if height is not None and height < start:
        raise BadParameter(name, f"{asked} is before the index begins", f"From height {start} on")
    # A block that is not indexed, or not even stored, may be of that time too, unless the next one is known and later.
    by_time = when.time is not None
    sure = not by_time or (following is not None and following <= indexed + 1) or (time == when.time and height != 0)
    if indexed < 0 or not sure or (height is not None and height > indexed):
        raise NotIndexed(name, asked, indexed)
    if height is None:
        raise BadParameter(name, f"{asked} is before the first block", f"From height {start} on")
    return Moment(height, time)


def heights(period: Period) -> tuple[int, int, IndexedHeight]:
    """The first and the last height of a period as far as it is indexed, and the progress; in the caller's snapshot.

    A period in which there is nothing ends one below its first height.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PERIOD, {"from_time": period.from_time, "to_time": period.to_time})
        start, first, last, *row = cursor.fetchone() or (0, None, None)
    indexed_height = indexed_height_of(row or None)
    ends = [indexed_height.height]
    if period.to_height is not None:
        ends.append(period.to_height)
    if period.to_time is not None:
        ends.append(start - 1 if last is None else last)
    begins = [start, period.from_height or 0]
    if period.from_time is not None:
        begins.append(indexed_height.height + 1 if first is None else first)
    return min(max(begins), min(ends) + 1), min(ends), indexed_height
