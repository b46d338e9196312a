"""What a list is asked for: which rows, which part of them, and how to answer."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic

from django.http import QueryDict

from balances.api.pagination import cursors
from balances.api.pagination.cursors import CursorInvalid, Shape
from balances.api.params import parsing
from balances.api.params.parsing import DEFAULT_LIMIT, MAX_LIMIT
from balances.indexed_height import IndexedHeight
from balances.queries.errors import BadParameter, ChainContradicted, shown
from balances.queries.page import Filters, PageRequest, Position


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """How to answer, whatever the rows. `min_height`: the indexed height to wait for, None for none."""

    text_amounts: bool
    min_height: int | None

    def truth(self, indexed_height: IndexedHeight) -> IndexedHeight:
        """How far the answer is true, in a snapshot of which this is the progress.

        Raises `ChainContradicted`: every answer from stored rows passes here.
        """
        if indexed_height.conflict_stored:
            raise ChainContradicted(indexed_height.conflict, indexed_height.height)
        return indexed_height


@dataclass(frozen=True, slots=True)
class ListRequest(Generic[Filters]):
    """A list as it is asked for. `scope` names the route and the filters: a cursor is for them alone.

    `limited`: whether the request says how many rows it wants.
    """

    filters: Filters
    page: PageRequest
    scope: str
    limited: bool
    options: ResponseOptions


def parse_list_request(
    query: QueryDict,
    *,
    route: str,
    allowed: Collection[str],
    parse_filters: Callable[[QueryDict], Filters],
    shape: Shape | Callable[[Filters], Shape],
) -> ListRequest[Filters]:
    """What a list route is asked for. Raises `BadParameter`.

    `allowed`: the parameters that the route has. `parse_filters`: reads its filters. `shape`: of its cursors.
    """
    parsing.check_names(query, allowed)
    filters = parse_filters(query)
    limit = parsing.whole(query, "limit", 1, MAX_LIMIT)
    scope = scope_of(route, filters)
    after = _after(query, scope, shape(filters) if callable(shape) else shape)
    page = PageRequest(limit or DEFAULT_LIMIT, after)
    return ListRequest(filters, page, scope, limit is not None, _response_options(query))


def scope_of(route: str, filters: object) -> str:
    """Return the cursor scope of a list: the route, and the filters by their `repr`.

    A filter class that was renamed keeps the name that older cursors have for it as `SCOPE_NAME`.
    """
    name = type(filters).__qualname__
    return f"{route} {getattr(filters, 'SCOPE_NAME', name)}{repr(filters).removeprefix(name)}"


def parse_response_options(query: QueryDict, *, allowed: Collection[str]) -> ResponseOptions:
    """How a route that answers with one thing is to answer. Raises `BadParameter`."""
    parsing.check_names(query, allowed)
    return _response_options(query)


def _response_options(query: QueryDict) -> ResponseOptions:
    return ResponseOptions(
        text_amounts=parsing.word(query, "amounts", ("string",)) is not None,
        min_height=parsing.height(query, "minHeight"),
    )


def _after(query: QueryDict, scope: str, shape: Shape) -> Position | None:
    cursor = query.get("cursor")
    if not cursor:
        return None
    try:
        return cursors.decode(cursor, scope, shape)
    except CursorInvalid as invalid:
        raise BadParameter(
            "cursor", f"{shown(cursor)}: {invalid}", "Take it from an answer's next, unchanged"
        ) from None
