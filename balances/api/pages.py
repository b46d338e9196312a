"""From rows to a response: the page with its way on, how far it is true, and 304 when the client has it already."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from balances.api import cursors
from balances.api.cursors import Position
from balances.api.parameters import Asked
from balances.api.snapshots import Snapshot, snapshot


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of a list as they are answered, amounts as integers; `last`: where the next page begins after, if any."""

    rows: list[dict[str, Any]]
    last: Position | None


def page_of(rows: list[dict[str, Any]], limit: int, position: Callable[[dict[str, Any]], Position]) -> Page:
    """The page of `rows`, of which up to `limit` + 1 were read to know whether there are more."""
    return Page(rows[:limit], position(rows[limit - 1]) if len(rows) > limit else None)


def answer(request: Request, asked: Asked, key: str, read: Callable[[Asked], Page]) -> HttpResponseBase:
    """The answer of a list route: `read`'s page under `key`, all from one snapshot.

    When the client's `If-None-Match` names the content version, `read` is not called.
    """
    with snapshot() as seen:
        headers = _headers(request, seen)
        if _has_it(request, headers["ETag"]):
            return HttpResponseNotModified(headers=headers)
        page = read(asked)
    following = None
    if page.last is not None:
        following = replace_query_param(request.build_absolute_uri(), "cursor", cursors.encode(page.last, asked.scope))
        headers["Link"] = f'<{following}>; rel="next"'
    if asked.text_amounts:
        for row in page.rows:
            row["amount"] = str(row["amount"])
    return Response(
        {
            key: page.rows,
            "next": following,
            "chainId": seen.progress.chain_id,
            "indexedHeight": seen.progress.indexed,
            "includesUpTo": seen.progress.up_to,
            "acceptedGaps": seen.progress.accepted,
        },
        headers=headers,
    )


def _headers(request: Request, seen: Snapshot) -> dict[str, str]:
    # Weak: equal versions mean equal content, not equal bytes (a proxy may compress). The URL is the rest of the name.
    return {
        "ETag": f'W/"{seen.version}-{request.accepted_renderer.format}"',
        "Cache-Control": "no-cache",
        "X-Indexed-Height": str(seen.progress.indexed),
    }


def _has_it(request: Request, etag: str) -> bool:
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in known}
