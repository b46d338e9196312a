"""A whole list in one answer: walked page by page in one snapshot, so that no more than a page is ever held."""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import cast

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from balances.api.long_request_slots import place
from balances.api.params.requests import ListRequest
from balances.api.responses.envelope import headers, opened, write_amounts
from balances.api.responses.row_formats import Lines
from balances.queries.errors import TooManyExports
from balances.queries.page import Filters, Page, Position, Read
from balances.snapshot import Snapshot

logger = logging.getLogger(__name__)

PAGE = 1000
"""Rows that are read at a time, and held at most."""

TOO_LONG = "one answer may not take longer"
BROKEN = "the list broke off"


def stream(
    request: Request,
    list_request: ListRequest[Filters],
    read: Read[Filters],
    form: Lines,
    url_of: Callable[[Position], str],
) -> HttpResponseBase:
    """The answer that has every row from the slice's position on. Raises `TooManyExports`.

    It is whole unless its last line says otherwise: that it took too long, or that the database failed, and the URL
    (`url_of` a position) of what is left. The snapshot is closed at its end, or when the client leaves.
    """
    parts = _parts(list_request, read, form, url_of)
    seen = cast(Snapshot, next(parts))
    said = said_by_lines(request, seen)
    if request.method == "HEAD":
        parts.close()
        return HttpResponse(headers=said, content_type=f"{form.media_type}; charset=utf-8")
    # Whatever ends the response closes the generator, and so the snapshot; it has begun, or nothing would be closed.
    return StreamingHttpResponse(
        cast(Iterator[bytes], parts), headers=said, content_type=f"{form.media_type}; charset=utf-8"
    )


def said_by_lines(request: Request, seen: Snapshot) -> dict[str, str]:
    """The headers of an answer of lines, which has no other place to say how far it is true."""
    return {
        **headers(request, seen),
        "X-Chain-Id": seen.indexed_height.chain_id or "",
        "X-Includes-Up-To": str(seen.indexed_height.includes_up_to),
        "X-Accepted-Gaps": str(seen.indexed_height.accepted),
        "X-First-Height": "" if seen.indexed_height.first_height is None else str(seen.indexed_height.first_height),
    }


def lines_of(page: Page, list_request: ListRequest[Filters], form: Lines) -> bytes:
    """The lines of a page's rows."""
    if list_request.options.text_amounts:
        for row in page.rows:
            write_amounts(row)
    return form.lines(page.rows)


def _parts(
    list_request: ListRequest[Filters], read: Read[Filters], form: Lines, url_of: Callable[[Position], str]
) -> Generator[Snapshot | bytes]:
    """The snapshot, then the lines, a page at a time."""
    with place() as free:
        if not free:
            raise TooManyExports
        with opened(list_request.options) as seen:
            end = time.monotonic() + settings.WHOLE_LIST_SECONDS
            part = replace(list_request.page, limit=PAGE)
            page = read(list_request.filters, part)
            yield seen
            yield form.begin()
            while True:
                if page.rows:
                    yield lines_of(page, list_request, form)
                if page.last is None:
                    return
                if time.monotonic() > end:
                    yield form.last_word(f"{TOO_LONG} than {settings.WHOLE_LIST_SECONDS} seconds", url_of(page.last))
                    return
                after = page.last
                try:
                    page = read(list_request.filters, replace(part, after=after))
                except Exception:
                    # Not every server breaks the connection for an exception here: so it is said as well.
                    logger.exception("A stream broke off url=%s", url_of(after))
                    yield form.last_word(BROKEN, url_of(after))
                    raise
