"""Reading transfers in the chain's order, page by page, up to the indexed height.

Everything up to the indexed height is applied, so what follows a position changes only by a correction, which the
generation tells. A page looks at a bounded number of rows, so it may be short, or empty, and not the last.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from balances.indexed_height import IndexedHeight
from balances.queries.errors import BadParameter
from balances.queries.filters import TransferFilters
from balances.queries.page import PageRequest
from balances.queries.token_lookup import resolve
from balances.queries.transfers import transfers
from balances.snapshot import snapshot
from balances.stream.event_ids import Position, end_of
from balances.stream.subscription import Filters
from balances.token_spellings import is_meant, spellings_of

PAGE_ROWS = 200


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer as it is sent. `spellings`: which of those that were asked about mean its token."""

    position: Position
    body: dict[str, Any]
    spellings: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """What follows a position, complete up to `end`; `more`: there may be more up to the indexed height."""

    transfers: list[Transfer]
    end: Position
    more: bool
    indexed_height: IndexedHeight


def look() -> IndexedHeight:
    """Where the index is now."""
    with snapshot() as seen:
        return seen.indexed_height


def check_tokens(spellings: Collection[str]) -> None:
    """Raise `BadParameter` for what is no token and could be none."""
    resolve(sorted(spellings), "token", most=1)


def read_wanted(after: Position, wanted: Filters) -> Page:
    """The next transfers after `after` that are wanted."""
    with snapshot() as seen:
        return _read(seen.indexed_height, after, wanted)


def read_all(after: Position, spellings: Collection[str]) -> Page:
    """The next transfers after `after`, each with those of `spellings` that mean its token."""
    with snapshot() as seen:
        page = _read(seen.indexed_height, after, Filters())
        means = _meaning(spellings, {row.body["tokenPath"] for row in page.transfers})
    return replace(page, transfers=[replace(row, spellings=means[row.body["tokenPath"]]) for row in page.transfers])


def _read(indexed_height: IndexedHeight, after: Position, wanted: Filters) -> Page:
    end = end_of(indexed_height.height)
    if end <= after:
        return Page([], after, False, indexed_height)
    filters = TransferFilters(
        addresses=tuple(sorted(wanted.addresses)),
        tokens=tuple(sorted(wanted.tokens)),
        to_height=indexed_height.height,
        ascending=True,
    )
    try:
        found = transfers(filters, PageRequest(PAGE_ROWS, after))
    except BadParameter:
        return Page([], end, False, indexed_height)  # a token that there was when the stream was opened, and is no more
    rows = [Transfer(Position(row["blockHeight"], row["txIndex"], row["eventIndex"]), row) for row in found.rows]
    return Page(rows, end if found.last is None else Position(*found.last), found.last is not None, indexed_height)


def _meaning(spellings: Collection[str], paths: Collection[str]) -> dict[str, frozenset[str]]:
    """Those of `spellings` that mean the token of each of `paths`."""
    possible = {path: spellings_of(path).intersection(spellings) for path in paths}
    texts = sorted(set().union(*possible.values()))
    meanings = resolve(texts, "token", most=1).meanings if texts else {}
    return {
        path: frozenset(text for text in of_path if text in meanings and is_meant(path, *meanings[text]))
        for path, of_path in possible.items()
    }
