"""``where``: what a filter of the wire means for a row, and which heights it can match at all.

A filter arrives as GraphQL coerced it: plain dicts with ``_and``, ``_or``, ``_not``, field names, and at the leaves
the operators ``exists``, ``eq``, ``like``, ``gt``, ``lt``, ``before``, ``after``. ``None`` counts as not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from replay.members import EVENT_MEMBERS, MESSAGE_MEMBERS, event_member, message_member
from replay.moments import ZERO_TIME, Moment, parse_moment

Where = Mapping[str, Any]
Predicate = Callable[[Any], bool]
MemberOf = Callable[[Mapping[str, Any]], str]

_OPERATORS = frozenset({"exists", "eq", "like", "gt", "lt", "before", "after"})
_MEMBER_OF: dict[str, MemberOf] = {"value": message_member, "events": event_member}
_LIST_FIELDS = frozenset({"txs", "messages", "events", "attrs", "files", "args", "signatures", "allow_paths"})
# UnexpectedMessage has no filter of its own: on a real server it passes every filter that names another member.
_FILTERABLE = (MESSAGE_MEMBERS | EVENT_MEMBERS) - {"UnexpectedMessage"}

MAX_INT = 2**63 - 1


class Window(NamedTuple):
    """An inclusive range of heights or indexes; empty when ``high < low``."""

    low: int
    high: int

    @property
    def empty(self) -> bool:
        """Whether nothing can be in it."""
        return self.high < self.low


EVERYTHING = Window(0, MAX_INT)
NOTHING = Window(0, -1)


def window(where: Where, name: str) -> Window:
    """The smallest range of field ``name`` that holds every row ``where`` can match, for reading slices only.

    A negative ``gt`` makes it empty, as on real servers, which turn it into an enormous unsigned lower bound; only
    below ``_not``, whose bounds they ignore, has it no effect.
    """
    return NOTHING if _has_negative_gt(where, name) else _window(where, name)


def _has_negative_gt(where: Where, name: str) -> bool:
    lower = (where.get(name) or {}).get("gt")
    if lower is not None and lower < 0:
        return True
    branches = [*(where.get("_and") or ()), *(where.get("_or") or ())]
    return any(_has_negative_gt(branch, name) for branch in branches if branch)


def _window(where: Where, name: str) -> Window:
    low, high = EVERYTHING
    leaf: Mapping[str, int | None] = where.get(name) or {}
    for operator, bound in leaf.items():
        if bound is None:
            continue
        if operator in ("gt", "eq"):
            low = max(low, bound + (operator == "gt"))
        if operator in ("lt", "eq"):
            high = min(high, bound - (operator == "lt"))
    parts = [_window(part, name) for part in where.get("_and") or () if part]
    branches = [_window(branch or {}, name) for branch in where.get("_or") or ()]
    if branches:
        parts.append(Window(min(branch.low for branch in branches), max(branch.high for branch in branches)))
    for part in parts:
        low, high = max(low, part.low), min(high, part.high)
    return Window(low, high)


def compile_where(where: Where) -> Predicate:
    """A function that tells whether a block or transaction row matches; fields a row lacks count as empty or zero."""
    return _level(where, _fields)


def _level(where: Where, own: Callable[[Where], list[Predicate]]) -> Predicate:
    """One level of a filter: its ``_and``, ``_or`` and ``_not``, and what ``own`` makes of the rest, all together."""
    tests = own({name: part for name, part in where.items() if part is not None and not name.startswith("_")})
    tests += [_level(part, own) for part in where.get("_and") or () if part is not None]
    branches = [_level(branch, own) for branch in where.get("_or") or () if branch is not None]
    if branches:
        tests.append(lambda row: any(branch(row) for branch in branches))
    if where.get("_not") is not None:
        unwanted = _level(where["_not"], own)
        tests.append(lambda row: not unwanted(row))
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _fields(where: Where) -> list[Predicate]:
    return [_field(name, part) for name, part in where.items()]


def _field(name: str, part: Where) -> Predicate:
    empty: Mapping[str, Any] | None = {}
    if part and part.keys() <= _OPERATORS:
        test, empty = _leaf(part), None
    elif name in _MEMBER_OF:
        member_of = _MEMBER_OF[name]
        test = _level(part, lambda members: [_members(members, member_of)] if members else [])
    else:
        test = _level(part, _fields)

    if name in _LIST_FIELDS:
        # Any one element that satisfies the whole filter is enough; a list that is null has none.
        return lambda row: any(test(empty if element is None else element) for element in row.get(name) or ())
    return lambda row: test(empty if row.get(name) is None else row[name])


def _members(where: Where, member_of: MemberOf) -> Predicate:
    tests = {member: _level(part, _fields) for member, part in where.items()}

    def matches(value: Mapping[str, Any]) -> bool:
        member = member_of(value)
        return tests[member](value) if member in tests else member not in _FILTERABLE

    return matches


def _leaf(part: Where) -> Predicate:
    tests = [_operator(operator, wanted) for operator, wanted in part.items() if wanted is not None]
    return lambda value: all(test(value) for test in tests)


def _operator(operator: str, wanted: Any) -> Predicate:
    if operator == "exists":
        # A tx-indexer asks whether a pointer is nil, and none of its leaves ever is.
        return lambda _value: bool(wanted)
    if operator == "like":
        return lambda value: _like(wanted, value or "")
    if isinstance(wanted, Moment):
        return lambda value: _compare(operator, parse_moment(value or ZERO_TIME), wanted)
    zero = type(wanted)()
    return lambda value: _compare(operator, zero if value is None else value, wanted)


def _compare(operator: str, value: Any, wanted: Any) -> bool:
    if operator == "eq":
        return bool(value == wanted)
    return bool(value > wanted if operator in ("gt", "after") else value < wanted)


def _like(pattern: str, value: str) -> bool:
    compiled = _regex(pattern)
    return compiled is not None and compiled.search(value) is not None


@lru_cache(maxsize=256)
def _regex(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        # A bad pattern is no error on the wire: it matches nothing.
        return None
