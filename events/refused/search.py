"""Looking refused events up, a page at a time, in chain order. Hand-written SQL lives here.

Three indexes have that order: of all events, of those of an emitter, and of those with a reason. What else is asked for
is looked at row by row, at most `SCANNED` rows for a page: a page may be short, or empty, and not be the last.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import connection

SCANNED = 5000

Position = tuple[int, int, int]
"""Height, transaction index, event index."""

_ABOVE_ALL = 2**63 - 1, 0, 0

# The column that an index begins with is ordered by as well, and its value is part of a range: of `reason = …`
# PostgreSQL would think that walking all events finds some soon, which for a rare reason reads the whole table.
_BRANCH = """
SELECT block_height, tx_index, event_index, ({also}) AS wanted FROM refused_events
WHERE ({columns}) >= ({value}%(low_height)s, %(low_tx)s, %(low_event)s)
AND ({columns}) < ({value}%(high_height)s, %(high_tx)s, %(high_event)s) ORDER BY {order} LIMIT %(scanned)s
"""

_OF_REASONS = "SELECT found.* FROM unnest(%(reasons)s::text[]) AS asked (reason) CROSS JOIN LATERAL ({branch}) AS found"

# The page first, then what belongs to its rows; and where the looking ended, where it did before the end.
_PAGE = """
WITH scanned AS MATERIALIZED (
    SELECT * FROM ({branches}) AS found
    ORDER BY block_height {way}, tx_index {way}, event_index {way} LIMIT %(scanned)s
), page AS MATERIALIZED (
    (SELECT block_height, tx_index, event_index, true AS shown FROM scanned WHERE wanted
     ORDER BY block_height {way}, tx_index {way}, event_index {way} LIMIT %(limit)s + 1)
    UNION ALL
    (SELECT block_height, tx_index, event_index, false FROM scanned
     ORDER BY block_height {way}, tx_index {way}, event_index {way} OFFSET %(scanned)s - 1)
)
{rows}
"""

_OF_TRANSACTIONS = """
WITH page AS MATERIALIZED (
    SELECT found.*, true AS shown FROM unnest(%(heights)s::bigint[], %(indexes)s::int[]) AS asked (height, index)
    CROSS JOIN LATERAL (
        SELECT block_height, tx_index, event_index FROM refused_events
        WHERE block_height = height AND tx_index = index ORDER BY event_index LIMIT %(each)s
    ) AS found
)
{rows}
"""

# By primary key, or the unique position.
_ROWS = """
SELECT shown, page.block_height, page.tx_index, page.event_index, transactions.hash, blocks.time, emitter, type,
       attributes, reason, detail
FROM page JOIN refused_events AS event ON event.block_height = page.block_height
    AND event.tx_index = page.tx_index AND event.event_index = page.event_index
LEFT JOIN blocks ON blocks.height = page.block_height
LEFT JOIN transactions ON transactions.block_height = page.block_height AND transactions.index = page.tx_index
ORDER BY page.block_height {way}, page.tx_index {way}, page.event_index {way}
"""


@dataclass(frozen=True, slots=True)
class RefusedEventFilters:
    """Which refused events, in which order; None or empty: any. Heights are inclusive."""

    SCOPE_NAME: ClassVar[str] = "Wanted"  # part of the scope of cursors that clients hold: it must not change

    reasons: tuple[str, ...] = ()
    emitter: str | None = None
    type: str | None = None
    from_height: int | None = None
    to_height: int | None = None
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A refused event; `attributes`: pairs of key and value as emitted, None when the event had none."""

    height: int
    tx_index: int
    event_index: int
    tx_hash: str | None
    block_time: datetime | None
    emitter: str
    type: str
    attributes: list[list[str]] | None
    reason: str
    detail: str

    @property
    def position(self) -> Position:
        return self.height, self.tx_index, self.event_index


def search(filters: RefusedEventFilters, limit: int, after: Position | None) -> tuple[list[Found], Position | None]:
    """Up to `limit` refused events that follow `after`, and the position that the rest follows, None: no rest."""
    way = "ASC" if filters.ascending else "DESC"
    branches, values = _branches(filters, after, way)
    looking = filters.type is not None or (filters.emitter is not None and filters.reasons)
    values |= {"limit": limit, "scanned": max(SCANNED, limit + 1) if looking else limit + 1}
    with connection.cursor() as cursor:
        cursor.execute(_PAGE.format(branches=branches, rows=_ROWS.format(way=way), way=way), values)
        rows = [(shown, Found(*row)) for shown, *row in cursor.fetchall()]
    found = [event for shown, event in rows if shown]
    if len(found) > limit:
        return found[:limit], found[limit - 1].position
    return found, next((event.position for shown, event in rows if not shown), None)


def of_transactions(places: Sequence[tuple[int, int]], most: int) -> list[Found]:
    """The first `most` refused events of each of these transactions, (height, index); in chain order."""
    values: dict[str, Any] = {
        "heights": [height for height, _ in places],
        "indexes": [index for _, index in places],
        "each": most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_OF_TRANSACTIONS.format(rows=_ROWS.format(way="ASC")), values)
        return [Found(*row) for _, *row in cursor.fetchall()]


def _branches(filters: RefusedEventFilters, after: Position | None, way: str) -> tuple[str, dict[str, Any]]:
    """The query of the events to look at, each with whether it is wanted, and its values."""
    columns, value = ["block_height", "tx_index", "event_index"], ""
    also = ["type = %(type)s"] if filters.type is not None else []
    if filters.emitter is not None:
        columns, value = ["hashtextextended(emitter, 0)", *columns], "hashtextextended(%(emitter)s, 0), "
        also.append("emitter = %(emitter)s")  # the index has only its hash
        also += ["reason = ANY(%(reasons)s)"] if filters.reasons else []
    elif filters.reasons:
        columns, value = ["refused_events.reason", *columns], "asked.reason, "
    branch = _BRANCH.format(
        also=" AND ".join(also) or "true",
        columns=", ".join(columns),
        value=value,
        order=", ".join(f"{column} {way}" for column in columns),
    )
    if filters.reasons and filters.emitter is None:
        branch = _OF_REASONS.format(branch=branch)
    given = {"reasons": sorted(set(filters.reasons)), "emitter": filters.emitter, "type": filters.type}
    return branch, given | _bounds(filters, after)


def _bounds(filters: RefusedEventFilters, after: Position | None) -> dict[str, int]:
    """The positions from which, and before which, the wanted events are."""
    low: Position = (filters.from_height or 0, 0, 0)
    high: Position = _ABOVE_ALL if filters.to_height is None else (filters.to_height + 1, 0, 0)
    if after is not None and filters.ascending:
        low = max(low, (*after[:2], after[2] + 1))
    elif after is not None:
        high = min(high, after)
    names = (f"{end}_{part}" for end in ("low", "high") for part in ("height", "tx", "event"))
    return dict(zip(names, (*low, *high), strict=True))
