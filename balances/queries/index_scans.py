"""Walks along indexes of `transfers`, in chain order, and where they end for one page. Hand-written SQL lives here.

Every side of a question (sent, received, of a token, or all) has an index in the order (height, transaction index,
event index). A walk goes along one of them, for one account or token at a time, between two places; a page merges what
its walks find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from balances.queries.staged_query import Stages
from postgres.limits import MAX_INT64

Place = tuple[int, int, int]
"""height, transaction index, event index."""

COLUMNS = "block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount"

_LOW = "%(low_height)s, %(low_tx)s, %(low_event)s"
_HIGH = "%(high_height)s, %(high_tx)s, %(high_event)s"

_ALL = f"""
SELECT {{columns}} FROM transfers
WHERE (block_height, tx_index, event_index) >= ({_LOW}) AND (block_height, tx_index, event_index) < ({_HIGH})
ORDER BY block_height {{order}}, tx_index {{order}}, event_index {{order}} {{cut}}
"""  # noqa: S608  # our own constants

# Written as a range, and ordered by the column as well: of `column = value` PostgreSQL would think that walking all
# transfers backwards finds some soon, which is true of most tokens, and for a rare one reads the whole table.
_ONE = f"""
SELECT {{columns}} FROM transfers
WHERE ({{column}}, block_height, tx_index, event_index) >= (walk.id, {_LOW})
AND ({{column}}, block_height, tx_index, event_index) < (walk.id, {_HIGH})
ORDER BY {{first}}block_height {{order}}, tx_index {{order}}, event_index {{order}} {{cut}}
"""  # noqa: S608  # our own constants

_EACH = "SELECT moved.* FROM unnest({ids}) AS walk (id) CROSS JOIN LATERAL ({one}) AS moved"

# The limit inside keeps PostgreSQL from looking for what fulfils the condition in any other way. The order is said
# again: a condition that becomes a join may lose it.
_SEEN = """
SELECT * FROM ({seen}) AS seen WHERE {also}
ORDER BY {first}block_height {order}, tx_index {order}, event_index {order} LIMIT %(limit)s
"""

# Who sends to himself is on both sides, and did so once. UNION would compare whole rows.
_MERGED = """
SELECT DISTINCT ON (block_height, tx_index, event_index) * FROM ({found}) AS found
ORDER BY block_height {order}, tx_index {order}, event_index {order} LIMIT {limit}
"""


@dataclass(frozen=True, slots=True)
class Between:
    """From `low` on and before `high`, and which end first."""

    low: Place = (0, 0, 0)
    high: Place = (MAX_INT64, 0, 0)
    ascending: bool = False

    def after(self, place: Place) -> "Between":
        """What follows `place` in this order."""
        if self.ascending:
            return replace(self, low=max(self.low, _next(place)))
        return replace(self, high=min(self.high, place))

    def up_to(self, place: Place) -> "Between":
        """What does not follow `place` in this order."""
        if self.ascending:
            return replace(self, high=min(self.high, _next(place)))
        return replace(self, low=max(self.low, place))

    @property
    def order(self) -> str:
        return "ASC" if self.ascending else "DESC"

    def values(self) -> dict[str, int]:
        names = (f"{end}_{part}" for end in ("low", "high") for part in ("height", "tx", "event"))
        return dict(zip(names, (*self.low, *self.high), strict=True))


@dataclass(frozen=True, slots=True)
class Walk:
    """Along the index that begins with `column`, for each of `ids`, an SQL array; the column "" is that of all."""

    column: str = ""
    ids: str = ""

    def first(self, order: str) -> str:
        """What the index is ordered by before the place."""
        return f"{self.column} {order}, " if self.column else ""


def _next(place: Place) -> Place:
    height, tx_index, event_index = place
    return height, tx_index, event_index + 1


def end_of_scan(walks: Sequence[Walk], each: int, between: Between, values: Mapping[str, Any]) -> Stages[Place | None]:
    """The place at which the first walk to do so has seen `each` transfers; None when none does: they see everything.

    Up to there, no walk has more than `each`. It costs entries of indexes only.
    """
    ends = [_sql(walk, "block_height, tx_index, event_index", between, "OFFSET %(each)s - 1 LIMIT 1") for walk in walks]
    found = yield _merged(ends, between, "1"), {**values, **between.values(), "each": each}
    return None if not found else (found[0][0], found[0][1], found[0][2])


def first_found(walks: Sequence[Walk], between: Between, also: str = "") -> str:
    """SQL of the first `limit` transfers that the walks find, and for which the condition `also` holds.

    Its values: `limit`, `scan` and those of `between`. With a condition, `between` must end where `end_of_scan` says:
    all of it may be read.
    """
    cut = "LIMIT %(scan)s" if also else "LIMIT %(limit)s"
    return _merged([_sql(walk, COLUMNS, between, cut, also) for walk in walks], between, "%(limit)s")


def _sql(walk: Walk, columns: str, between: Between, cut: str, also: str = "") -> str:
    first = walk.first(between.order)
    one = (_ONE if walk.column else _ALL).format(
        columns=columns, column=walk.column, first=first, order=between.order, cut=cut
    )
    if also:
        one = _SEEN.format(seen=one, also=also, first=first, order=between.order)
    return _EACH.format(ids=walk.ids, one=one) if walk.column else one


def _merged(found: Sequence[str], between: Between, limit: str) -> str:
    return _MERGED.format(found=" UNION ALL ".join(f"({each})" for each in found), order=between.order, limit=limit)
