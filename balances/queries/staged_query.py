"""Reading in steps: a list says which statements it needs, one after another, and whoever asks runs them.

A view runs them all in one transaction. The fast path (`balances.api.fast_path`) runs the first one alone, together
with the indexed height, and when that was enough, has an answer from one statement.
"""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, TypeVar

from django.db import connection

from balances.queries.page import Filters, Page, PageRequest

Answer = TypeVar("Answer")

Row = tuple[Any, ...]
Statement = tuple[str, Mapping[str, Any]]
"""SQL and its values, by name."""

Stages = Generator[Statement, list[Row], Answer]


class StagedQuery(Generic[Filters]):
    """A function that reads a part of a list, made of its steps; call it inside the snapshot of the answer."""

    def __init__(self, steps: Callable[[Filters, PageRequest], Stages[Page]]) -> None:
        self.steps = steps
        self.__doc__ = steps.__doc__

    def __call__(self, wanted: Filters, part: PageRequest) -> Page:
        return run(self.steps(wanted, part))


def run(steps: Stages[Answer]) -> Answer:
    """Go all the steps, in the caller's snapshot."""
    with connection.cursor() as cursor:
        try:
            sql, values = next(steps)
            while True:
                cursor.execute(sql, values)
                sql, values = steps.send(cursor.fetchall())
        except StopIteration as done:
            answer: Answer = done.value
            return answer
