"""A page: some rows of a list, and where the next one begins."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Position = tuple[Any, ...]
"""The ordering columns of the last row of a page."""

Filters = TypeVar("Filters")
"""The filters of a family of lists: a frozen dataclass, whose repr tells one from another."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Up to `limit` rows that follow the position `after`; None: the first ones."""

    limit: int
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list as they are answered, amounts as integers; `last`: where the next page begins after, if any.

    `beside`: what the answer says beside them.
    """

    rows: list[dict[str, Any]]
    last: Position | None
    beside: dict[str, Any] = field(default_factory=dict)


Read = Callable[[Filters, PageRequest], Page]
"""Reads a part of a list. A page may be short, or empty, with `last` telling where to go on."""


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
