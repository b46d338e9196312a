"""What every answer has, whatever it is about: how far it is true, its version, and 304 when the client has it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.http import HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from balances.api.params.requests import ResponseOptions
from balances.api.responses.min_height import patience, wait_for
from balances.queries.errors import HeightNotReached
from balances.snapshot import Snapshot, look, snapshot

AMOUNTS = frozenset({
    "amount", "supply", "minted", "burned",
    "change", "balanceBefore", "balanceAfter",
    "openingBalance", "closingBalance", "pageOpeningBalance", "pageClosingBalance",
})  # fmt: skip
"""Members that are amounts: integers, or strings for clients that ask for these."""


def answer_one(request: Request, options: ResponseOptions, read: Callable[[], dict[str, Any]]) -> HttpResponseBase:
    """The answer of a route about one thing: `read`'s members, amounts as integers, all from one snapshot."""
    if (same := unchanged(request, options)) is not None:
        return same
    with opened(options) as seen:
        members = read()
    for member in members.values():
        for row in member if isinstance(member, list) else [member]:
            if options.text_amounts and isinstance(row, dict):
                write_amounts(row)
    return Response(members | truth(seen), headers=headers(request, seen))


def unchanged(request: Request, options: ResponseOptions) -> HttpResponseNotModified | None:
    """The 304 for a client whose `If-None-Match` names the content version: one small statement, no transaction.

    Waits first for the height that the client wants to see; raises `HeightNotReached`.
    """
    if options.min_height is not None:
        wait_for(options.min_height, patience(request), options.truth)
    known = request.headers.get("If-None-Match", "")
    if not known:
        return None
    said = headers(request, _reached(options, look()))
    return HttpResponseNotModified(headers=said) if has_it(known, said["ETag"]) else None


def has_it(known: str, etag: str) -> bool:
    """Whether `etag` is among what the client says it has, its `If-None-Match`."""
    tags = parse_etags(known)
    return "*" in tags or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}


@contextmanager
def opened(options: ResponseOptions) -> Iterator[Snapshot]:
    """The snapshot to answer from. Raises `HeightNotReached`: this replica may be behind the one asked first."""
    with snapshot() as seen:
        yield _reached(options, seen)


def _reached(options: ResponseOptions, seen: Snapshot) -> Snapshot:
    seen = replace(seen, indexed_height=options.truth(seen.indexed_height))
    if options.min_height is not None and seen.indexed_height.height < options.min_height:
        raise HeightNotReached(options.min_height, seen.indexed_height.height)
    return seen


def headers(request: Request, seen: Snapshot) -> dict[str, str]:
    return headers_of(seen, str(request.accepted_renderer.format))


def headers_of(seen: Snapshot, form: str) -> dict[str, str]:
    """The headers of an answer that is rendered as `form`."""
    # Weak: equal versions mean equal content, not equal bytes (a proxy may compress). The URL is the rest of the name.
    return {
        "ETag": f'W/"{seen.version}-{form}"',
        "Cache-Control": "no-cache",
        "X-Indexed-Height": str(seen.indexed_height.height),
    }


def truth(seen: Snapshot) -> dict[str, Any]:
    """The members that say how far an answer is true."""
    return {
        "chainId": seen.indexed_height.chain_id,
        "indexedHeight": seen.indexed_height.height,
        "includesUpTo": seen.indexed_height.includes_up_to,
        "acceptedGaps": seen.indexed_height.accepted,
        "firstHeight": seen.indexed_height.first_height,
    }


def write_amounts(row: dict[str, Any]) -> None:
    """Turn the amounts of `row` into strings."""
    for name in AMOUNTS & row.keys():
        if row[name] is not None:
            row[name] = str(row[name])
