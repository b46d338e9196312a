"""The fast path: a page of a list from one statement, without Django's and Django REST framework's machinery.

What a list is, and what is said of it, the views define; a test holds the two ways equal, to the byte. Here are only
requests that a view would answer with a page in JSON, or with 304, of a list whose first step is enough. All others go
on to Django untouched, and so does whatever fails: Django has the words for it.

Headers that do not depend on the rows are Django's own: the first request of a kind goes to Django, and what it said is
said again. So hosts, HTTPS, CORS, content negotiation and security headers are decided in one place.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast
from urllib.parse import parse_qsl

import msgspec
import psycopg
from django.core.handlers.wsgi import WSGIRequest
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.http import QueryDict
from psycopg.types.json import set_json_loads
from rest_framework.exceptions import APIException

from balances.api.middleware.compression import accepts, packed
from balances.api.middleware.path_prefix import FORWARDED, place
from balances.api.params.parsing import FORMAT
from balances.api.responses.envelope import has_it, headers_of
from balances.api.responses.list_response import ListQuery, body, url_after
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
Kind = tuple[object, ...]

FORM = "json"
"""The renderer whose answers these are."""

MOST_KINDS = 1000
"""Kinds of requests whose headers are remembered; when more come, all are learnt anew."""

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

# What headers may depend on, beside the route and whether the answer is 304.
_KIND = ("HTTP_HOST", "wsgi.url_scheme", "HTTP_X_FORWARDED_PROTO", "HTTP_ORIGIN", "HTTP_ACCEPT", FORWARDED)
_OF_ROWS = {"ETag", "X-Indexed-Height", "Cache-Control", "Link", "Content-Length", "Content-Encoding"}
_OF_KIND = {
    "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Allow", "Content-Security-Policy", "Content-Type",
    "Cross-Origin-Opener-Policy", "Referrer-Policy", "Strict-Transport-Security", "Vary", "X-Content-Type-Options",
    "X-Frame-Options",
}  # fmt: skip

# A cursor remembers how values are written and read; a new one for each statement would find that out again.
_kept = threading.local()

_LOOK = f"SELECT row_to_json(progress)::text FROM ({INDEXED_HEIGHT_SQL}) AS progress"  # noqa: S608  # our own constant

# How far the rows are true is said once: read again beside each row, it would take longer than the row.
_TOGETHER = f"""
SELECT CASE WHEN row_number() OVER () = 1 THEN row_to_json(progress)::text END, page.*
FROM ({INDEXED_HEIGHT_SQL}) AS progress LEFT JOIN LATERAL (SELECT true, found.* FROM (%s) AS found) AS page ON true
"""  # noqa: S608  # our own constant


class FastPath:
    """A WSGI application in front of Django's."""

    def __init__(self, django: Application) -> None:
        self._django = django
        self._headers: dict[tuple[object, ...], Headers] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        place(environ)
        listing, kind = _understood(environ)
        if listing is None:
            return self._django(environ, start_response)
        try:
            answered = self._answer(environ, listing, kind)
        except (APIException, Error, psycopg.Error):
            answered = None
        if answered is None:
            return self._django(environ, self._learning(kind, start_response))
        status, headers, content = answered
        start_response(status, [*headers, ("Content-Length", str(len(content)))])
        return [content]

    def _answer(self, environ: Environ, listing: ListQuery[Any], kind: Kind) -> tuple[str, Headers, bytes] | None:
        """Status, headers and content; None when Django must answer. Raises what Django will raise again, and say."""
        headers = self._headers.get((200, *kind))
        if headers is None:
            return None
        count_request(environ)
        if known := environ.get("HTTP_IF_NONE_MATCH"):
            said = headers_of(_snapshot(listing, _ask(_LOOK, {})), FORM)
            if has_it(known, said["ETag"]):
                same = self._headers.get((304, *kind))
                return None if same is None else ("304 Not Modified", [*same, *said.items()], b"")
        read = _read(listing)
        if read is None:
            return None
        page, snapshot = read
        said = headers_of(snapshot, FORM)
        following = None
        if page.last is not None:
            following = url_after(WSGIRequest(environ), listing.list_request.scope, page.last)
            said["Link"] = f'<{following}>; rel="next"'
        content = to_json(body(listing.list_request, listing.key, page, following, snapshot))
        if accepts(environ.get("HTTP_ACCEPT_ENCODING", "")) and (short := packed(content)) is not None:
            content = short
            said["Content-Encoding"] = "gzip"
        return "200 OK", [*headers, *said.items()], content

    def _learning(self, kind: Kind, start_response: StartResponse) -> StartResponse:
        """`start_response`, remembering the headers of an answer that the fast path could have given."""

        def learn(status: str, headers: Headers, *error: Any) -> Any:
            said = dict(headers)
            plain = {"200": "application/json", "304": None}.get(status[:3], "other") == said.get("Content-Type")
            if plain and said.keys() <= _OF_ROWS | _OF_KIND and said.get("ETag", "").endswith(f'-{FORM}"'):
                if len(self._headers) >= MOST_KINDS:
                    self._headers.clear()
                self._headers[int(status[:3]), *kind] = [each for each in headers if each[0] not in _OF_ROWS]
            return start_response(status, headers, *error)

        return learn


class _Query(dict[str, str]):
    """What the lists use of a `QueryDict`, where no parameter is given twice; it is read three times as fast."""

    def getlist(self, name: str) -> list[str]:
        return [self[name]] if name in self else []

    def lists(self) -> list[tuple[str, list[str]]]:
        return [(name, [value]) for name, value in self.items()]


def _understood(environ: Environ) -> tuple[ListQuery[Any] | None, Kind]:
    """The list that is asked for, None when it is none or there is any doubt, and the kind of the request."""
    path, query, accept = environ["PATH_INFO"], environ["QUERY_STRING"], environ.get("HTTP_ACCEPT", "")
    if (
        environ["REQUEST_METHOD"] != "GET"
        or not environ.get("SCRIPT_NAME", "").isascii()
        or "HTTP_COOKIE" in environ
        or not path.startswith("/")
        or not path.isascii()
        or not query.isascii()
        or "indent" in accept
    ):
        return None, ()
    matches = ((asks, regex.match(path[1:])) for regex, asks in _ROUTES)
    asks, matched = next(((asks, matched) for asks, matched in matches if matched is not None), (None, None))
    if asks is None or matched is None:
        return None, ()
    pairs = parse_qsl(query, keep_blank_values=True)
    list_request = _Query(pairs)
    try:
        listing: ListQuery[Any] = asks(cast(QueryDict, list_request), **matched.groupdict())
    except APIException:
        return None, ()
    if (
        len(list_request) < len(pairs)
        or FORMAT in list_request
        or listing.list_request.options.min_height is not None
        or not isinstance(listing.read, StagedQuery)
    ):
        return None, ()
    return listing, (asks, *map(environ.get, _KIND))


def _read(listing: ListQuery[Any]) -> tuple[Page, Snapshot] | None:
    """The page, when one statement is enough for it, and the snapshot that it was read in."""
    reading: StagedQuery[Any] = listing.read  # type: ignore[assignment]  # `_understood` saw to it
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
