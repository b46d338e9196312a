"""The answer of a list route: a page of JSON with its way on, or lines of CSV or NDJSON, of a page or of everything."""

from functools import partial
from typing import Any, Generic, NamedTuple

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.utils.urls import replace_query_param
from rest_framework.viewsets import ViewSet

from balances.api.pagination import cursors
from balances.api.params.requests import ListRequest
from balances.api.responses.envelope import headers, opened, truth, unchanged, write_amounts
from balances.api.responses.export import lines_of, said_by_lines, stream
from balances.api.responses.renderers import CsvLines, NdjsonLines
from balances.api.responses.row_formats import Csv, Lines, Ndjson
from balances.queries.page import Filters, Page, Position, Read
from balances.snapshot import Snapshot


class ListQuery(NamedTuple, Generic[Filters]):
    """A list that is asked for, the member of the answer that it goes under, what reads it, and what its rows are."""

    list_request: ListRequest[Filters]
    key: str
    read: Read[Filters]
    entry: type[Serializer[Any]]


class ListViewSet(ViewSet):
    """A route that answers with a list, also as lines."""

    renderer_classes = (*ViewSet.renderer_classes, CsvLines, NdjsonLines)


def answer(
    request: Request,
    list_request: ListRequest[Filters],
    key: str,
    read: Read[Filters],
    entry: type[Serializer[Any]] | None = None,
) -> HttpResponseBase:
    """The answer of a list route: `read`'s page under `key`, all from one snapshot. `entry`: the shape of its rows.

    When the client's `If-None-Match` names the content version, `read` is not called.
    """
    if (same := unchanged(request, list_request.options)) is not None:
        return same
    url_of = partial(url_after, request, list_request.scope)
    form = _form(request, entry)
    if form is not None and not list_request.limited:
        return stream(request, list_request, read, form, url_of)
    with opened(list_request.options) as seen:
        page = read(list_request.filters, list_request.page)
    said = headers(request, seen) if form is None else said_by_lines(request, seen)
    following = None
    if page.last is not None:
        following = url_of(page.last)
        said["Link"] = f'<{following}>; rel="next"'
    if form is not None:
        return HttpResponse(
            form.begin() + lines_of(page, list_request, form),
            headers=said,
            content_type=f"{form.media_type}; charset=utf-8",
        )
    return Response(body(list_request, key, page, following, seen), headers=said)


def body(
    list_request: ListRequest[Filters], key: str, page: Page, following: str | None, seen: Snapshot
) -> dict[str, Any]:
    """What a page says, `following` being the URL of the next one."""
    if list_request.options.text_amounts:
        for row in (*page.rows, page.beside):
            write_amounts(row)
    return {key: page.rows, **page.beside, "next": following, **truth(seen)}


def url_after(request: Request | HttpRequest, scope: str, position: Position) -> str:
    """Where the list of `scope` goes on after `position`."""
    return replace_query_param(request.build_absolute_uri(), "cursor", cursors.encode(position, scope))


def _form(request: Request, entry: type[Serializer[Any]] | None) -> Lines | None:
    if request.accepted_renderer.format == CsvLines.format and entry is not None:
        return Csv(tuple(entry().fields))
    return Ndjson() if request.accepted_renderer.format == NdjsonLines.format else None
