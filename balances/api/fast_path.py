"""The fast path: a page of a list from one statement, without Django's and Django REST framework's machinery.

The views define the lists and their answers; a test compares both ways byte for byte. The fast path takes requests that
a view would answer with a page in JSON, or with 304, of a list that its first statement completes. Django answers all
others, and every request that fails here.

Headers that do not depend on the rows come from Django's own middleware (`ResponseHeaders`), so hosts, HTTPS, CORS and
security headers are decided in one place; content negotiation is Django REST framework's own.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
import psycopg
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIRequest
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import HttpRequest, HttpResponse, QueryDict
from psycopg.types.json import set_json_loads
from rest_framework.exceptions import APIException
from rest_framework.utils.mediatypes import media_type_matches, order_by_precedence

from balances.api.middleware.compression import accepts, packed
from balances.api.middleware.path_prefix import FORWARDED, apply_prefix
from balances.api.params.parsing import FORMAT
from balances.api.responses.envelope import has_it, headers_of
from balances.api.responses.list_response import ListQuery, ListViewSet, body, url_after
from balances.api.responses.renderers import to_json
from balances.api.throttling import count_request
from balances.api.urls import urlpatterns
from balances.api.views import accounts, tokens
from balances.indexed_height import INDEXED_HEIGHT_SQL, indexed_height_of
from balances.queries.page import Page
from balances.queries.staged_query import Row, StagedQuery
from balances.snapshot import Snapshot, seen
from postgres.sessions import SessionConnection

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]

FORM = "json"
"""The renderer whose answers these are."""

MOST_KEPT = 256
"""Sets of headers that are kept; when more come, for a client may send any Host, all are made again."""

_PARSERS: dict[str, Callable[..., ListQuery[Any]]] = {
    "token-balances": tokens.parse_token_balances,
    "transfer-history": tokens.parse_transfer_history,
    "holders": tokens.parse_holder_balances,
    "shares": tokens.parse_holders,
    "account-balances": accounts.parse_account_balances,
    "account-transfers": accounts.parse_account_transfers,
}
"""The parser of each list route that the fast path answers, by URL name."""

_ROUTES = [(route.pattern.regex, _PARSERS.get(route.name or "")) for route in urlpatterns]

# A cursor remembers how values are written and read; a new one for each statement would find that out again.
_kept = threading.local()

_LOOK = f"SELECT row_to_json(progress)::text FROM ({INDEXED_HEIGHT_SQL}) AS progress"  # noqa: S608  # our own constant

# How far the rows are true is said once: read again beside each row, it would take longer than the row.
_TOGETHER = f"""
SELECT CASE WHEN row_number() OVER () = 1 THEN row_to_json(progress)::text END, page.*
FROM ({INDEXED_HEIGHT_SQL}) AS progress LEFT JOIN LATERAL (SELECT true, found.* FROM (%s) AS found) AS page ON true
"""  # noqa: S608  # our own constant


class ResponseHeaders(BaseHandler):
    """The headers that Django's middleware adds to an answer of the fast path, whatever its rows.

    They are made by the middleware itself, around an empty response, and kept for what they depend on: the host, the
    scheme, the origin as far as it may read, and whether a proxy gave a path prefix.
    """

    def __init__(self) -> None:
        self.load_middleware()
        self._origins = frozenset(settings.CORS_ORIGINS)
        self._kept: dict[tuple[object, ...], Headers | None] = {}

    def get(self, environ: Environ, status: int) -> Headers | None:
        """The headers of an answer with this status; None when the middleware answers by itself (a redirect, 400)."""
        origin = environ.get("HTTP_ORIGIN")
        key = (
            status,
            *map(environ.get, ("HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "HTTP_X_FORWARDED_PROTO")),
            origin if origin in self._origins else None,
            bool(environ.get(FORWARDED)),
        )
        # Other threads may clear what is kept at any moment, so nothing is read after it was checked for.
        with suppress(KeyError):
            return self._kept[key]
        headers = self._make(environ, status)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[key] = headers
        return headers

    def _make(self, environ: Environ, status: int) -> Headers | None:
        request = WSGIRequest({**environ, "QUERY_STRING": "", "HTTP_ACCEPT_ENCODING": ""})
        request.status = status  # type: ignore[attr-defined]  # for `_get_response`
        response = self._middleware_chain(request)  # type: ignore[attr-defined]  # made by `load_middleware`
        if response.status_code != status:
            return None
        return [(name, value) for name, value in response.items() if name != "Content-Length"]

    def _get_response(self, request: HttpRequest) -> HttpResponse:
        """What a view would answer, without its rows."""
        response = HttpResponse(status=request.status, headers={"Allow": "GET, HEAD, OPTIONS", "Vary": "Accept"})  # type: ignore[attr-defined]
        if response.status_code == 304:
            del response.headers["Content-Type"]
        else:
            response.headers["Content-Type"] = "application/json"
        return response


class FastPath:
    """A WSGI application in front of Django's."""

    def __init__(self, django: Application) -> None:
        self._django = django
        self._headers = ResponseHeaders()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        apply_prefix(environ)
        listing = _list_query(environ)
        if listing is None:
            return self._django(environ, start_response)
        try:
            response = self._respond(environ, listing)
        except (APIException, Error, psycopg.Error):
            response = None
        if response is None:
            return self._django(environ, start_response)
        status, headers, content = response
        start_response(status, [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _respond(self, environ: Environ, listing: ListQuery[Any]) -> tuple[str, Headers, bytes] | None:
        """Status, headers and content; None when Django must answer.

        Raises what Django raises again, and answers.
        """
        headers = self._headers.get(environ, 200)
        if headers is None:
            return None
        count_request(environ)
        if known := environ.get("HTTP_IF_NONE_MATCH"):
            own = headers_of(_snapshot(listing, _ask(_LOOK, {})), FORM)
            if has_it(known, own["ETag"]):
                unchanged = self._headers.get(environ, 304)
                return None if unchanged is None else ("304 Not Modified", [*unchanged, *own.items()], b"")
        read = _read(listing)
        if read is None:
            return None
        page, snapshot = read
        own = headers_of(snapshot, FORM)
        following = None
        if page.last is not None:
            following = url_after(WSGIRequest(environ), listing.list_request.scope, page.last)
            own["Link"] = f'<{following}>; rel="next"'
        content = to_json(body(listing.list_request, listing.key, page, following, snapshot))
        if accepts(environ.get("HTTP_ACCEPT_ENCODING", "")) and (short := packed(content)) is not None:
            content = short
            own["Content-Encoding"] = "gzip"
        return "200 OK", [*headers, *own.items()], content


class _Query(dict[str, str]):
    """What the lists use of a `QueryDict`, where no parameter is given twice; it is read three times as fast."""

    def getlist(self, name: str) -> list[str]:
        return [self[name]] if name in self else []

    def lists(self) -> list[tuple[str, list[str]]]:
        return [(name, [value]) for name, value in self.items()]


def _list_query(environ: Environ) -> ListQuery[Any] | None:
    """The list that the request is for; None when it is for none, or when Django must look at it."""
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if (
        environ["REQUEST_METHOD"] != "GET"
        or not environ.get("SCRIPT_NAME", "").isascii()
        or "HTTP_COOKIE" in environ
        or not path.startswith("/")
        or not path.isascii()
        or not query.isascii()
        or not _prefers_json(environ.get("HTTP_ACCEPT", "*/*"))
    ):
        return None
    matches = ((parse, regex.match(path[1:])) for regex, parse in _ROUTES)
    parse, matched = next(((parse, matched) for parse, matched in matches if matched is not None), (None, None))
    if parse is None or matched is None:
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    parameters = _Query(pairs)
    try:
        listing: ListQuery[Any] = parse(cast(QueryDict, parameters), **matched.groupdict())
    except APIException:
        return None
    if (
        len(parameters) < len(pairs)
        or FORMAT in parameters
        or listing.list_request.options.min_height is not None
        or not isinstance(listing.read, StagedQuery)
    ):
        return None
    return listing


@lru_cache(maxsize=256)
def _prefers_json(accept: str) -> bool:
    """Whether Django REST framework would choose JSON for this `Accept`, written as compactly as here."""
    if "indent" in accept:
        return False
    for media_types in order_by_precedence([each.strip() for each in accept.split(",")]):
        for renderer in ListViewSet.renderer_classes:
            if any(media_type_matches(renderer.media_type, each) for each in media_types):
                return renderer.format == FORM
    return False


def _read(listing: ListQuery[Any]) -> tuple[Page, Snapshot] | None:
    """The page, when one statement is enough for it, and the snapshot that it was read in."""
    reading: StagedQuery[Any] = listing.read  # type: ignore[assignment]  # checked by `_list_query`
    steps = reading.steps(listing.list_request.filters, listing.list_request.page)
    first = next(steps, None)
    if first is None:
        return None
    sql, values = first
    found = _ask(together(sql, values.get("limit"), values.get("scan")), values)
    if not found:
        return None
    try:
        steps.send([row[2:] for row in found if row[1]])
    except StopIteration as done:
        return done.value, _snapshot(listing, found)
    return None


@lru_cache(maxsize=256)
def together(sql: str, limit: int | None = None, scan: int | None = None) -> str:
    """`sql` with the progress beside its rows: that, true, and the columns of `sql`, or one row that has only that.

    `limit` and `scan` are written into it: it is planned once, and the plan depends on how many rows are wanted.
    """
    return _TOGETHER % sql.replace("%(limit)s", str(limit)).replace("%(scan)s", str(scan))


def _ask(sql: str, values: Mapping[str, Any]) -> list[Row]:
    """The rows of one statement, which PostgreSQL prepares once for each connection. A statement is a snapshot."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None:
        database.connect()
    connection: SessionConnection = database.connection
    before, connection.prepare_threshold = connection.prepare_threshold, 0
    try:
        cursor: psycopg.Cursor[Row] | None = getattr(_kept, "cursor", None)
        if cursor is None or cursor.connection is not connection:
            # Behind a pooler the next session knows nothing of what this one has prepared.
            cursor = connection.cursor() if connection.per_transaction else psycopg.Cursor(connection)
            _kept.cursor = cursor
            set_json_loads(msgspec.json.decode, cursor)
        return cursor.execute(sql, values).fetchall()
    finally:
        connection.prepare_threshold = before
        if database.close_at is not None and time.monotonic() >= database.close_at:
            database.close()  # too old, or of a pool


def _snapshot(listing: ListQuery[Any], found: Sequence[Row]) -> Snapshot:
    snapshot = _seen(found[0][0] if found else None)
    indexed_height = listing.list_request.options.truth(snapshot.indexed_height)
    return snapshot if indexed_height is snapshot.indexed_height else replace(snapshot, indexed_height=indexed_height)


@lru_cache(maxsize=4)
def _seen(said: str | None) -> Snapshot:
    """The snapshot whose progress is `said`, as JSON: the same for many requests, until something is committed."""
    return seen(indexed_height_of(None if said is None else list(msgspec.json.decode(said).values())))
