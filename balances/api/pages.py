"""A page: some rows of a list, and where the next one begins."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple

from rest_framework.serializers import Serializer

from balances.api.asking import Asked, Slice, Wanted
from balances.api.cursors import Position


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list as they are answered, amounts as integers; `last`: where the next page begins after, if any.

    `beside`: what the answer says beside them.
    """

    rows: list[dict[str, Any]]
    last: Position | None
    beside: dict[str, Any] = field(default_factory=dict)


Read = Callable[[Wanted, Slice], Page]
"""Reads a part of a list. A page may be short, or empty, with `last` telling where to go on."""


class Listing(NamedTuple, Generic[Wanted]):
    """A list that is asked for, the member of the answer that it goes under, what reads it, and what its rows are."""

    asked: Asked[Wanted]
    key: str
    read: Read[Wanted]
    entry: type[Serializer[Any]]


def page_of(
    rows: list[dict[str, Any]],
    limit: int,
    position: Callable[[dict[str, Any]], Position],
    *,
    searched: Position | None = None,
) -> Page:
    """The page of `rows`, of which up to `limit` + 1 were read to know whether there are more.

    `searched`: where the reading stopped short of the end of the list; None when it did not.
    """
    return Page(rows[:limit], position(rows[limit - 1]) if len(rows) > limit else searched)
