"""What the OpenAPI schema says of answers and errors, with examples (drf-spectacular)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.serializers import BaseSerializer

from balances.api.responses.problems import PROBLEM_JSON, problem
from balances.api.responses.row_formats import INCOMPLETE, Csv, Lines, Ndjson
from balances.api.serializers.balances import Problem
from balances.queries.errors import RETRY_SECONDS

_ERRORS: Sequence[tuple[int, str, str]] = [
    (
        400,
        "A parameter is malformed, unknown or given twice.",
        "limit: '0' is not a limit. A whole number from 1 to 1000.",
    ),
    (404, "No such route.", "There is nothing at '/tokens/balance'. See /docs."),
    (405, "Only GET, HEAD and OPTIONS.", 'Method "POST" not allowed.'),
    (406, "None of the accepted types is served.", "Could not satisfy the request Accept header."),
    (
        409,
        "minHeight is not indexed, and the time to wait for it is over, or what is asked for by height or time is not; "
        "indexedHeight says what is.",
        "minHeight: 486 is not indexed yet; 485 is. Wait longer by Prefer: wait=…, or ask again.",
    ),
    (
        429,
        "Too many requests; Retry-After says when.",
        "Too many requests: 600 in 60 seconds are allowed for an address. Expected available in 5 seconds.",
    ),
    (500, "A fault of the server.", "This is a fault of the server, and it is in its log."),
    (
        503,
        f"The database is away, has no connection left, or needs too long for this; Retry-After ({RETRY_SECONDS} s) "
        "says when. Or two blocks that are stored do not link, so that nothing is answered until a person has seen to "
        "it.",
        "The database does not answer. Nothing is lost; try again.",
    ),
]


_LINES = (
    "A line a row: of the whole list, in one snapshot, or of a page when there is a limit. It is whole unless the "
    f"connection breaks, or the last line begins with `#{INCOMPLETE}` (CSV) or is an object with the member "
    f"`{INCOMPLETE}` (NDJSON), with the reason and the URL of what is left. In CSV, a text that a spreadsheet would "
    "take for a formula has an apostrophe before it."
)
_TRUE_TO = {"chainId": "gnotest-1", "indexedHeight": 485, "includesUpTo": 485, "acceptedGaps": 0, "firstHeight": 1}


def list_responses(
    shape: type[BaseSerializer[Any]],
    key: str,
    row: dict[str, Any],
    *,
    lines: bool = True,
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> dict[Any, Any]:
    """The responses of a list route: a page of `row`s under `key`, lines if it has them, 304, and every error.

    `beside`: what the page says beside its rows.
    """
    example = OpenApiExample(
        "a page",
        {
            key: [row],
            **beside,
            "next": "https://balances.example.org/…?cursor=WzEsIjQy…",
            **_TRUE_TO,
        },
        response_only=True,
        status_codes=["200"],
    )
    return {
        (200, "application/json"): OpenApiResponse(shape, "A page, and how far it is true.", [example]),
        **(_line_responses(row) if lines else {}),
        304: OpenApiResponse(description="What you have (If-None-Match) is still true."),
        **error_responses(),
    }


def _line_responses(row: dict[str, Any]) -> dict[Any, Any]:
    return {
        (200, form.media_type): OpenApiResponse(OpenApiTypes.STR, _LINES, [_as_lines(form, row)])
        for form in (Csv(tuple(row)), Ndjson())
    }


def _as_lines(form: Lines, row: dict[str, Any]) -> OpenApiExample:
    text = (form.begin() + form.lines([row])).decode()
    return OpenApiExample("lines", text, response_only=True, status_codes=["200"], media_type=form.media_type)


def one_responses(shape: type[BaseSerializer[Any]], members: dict[str, Any]) -> dict[Any, Any]:
    """The responses of a route about one thing: its `members` and how far they are true, 304, and every error."""
    example = OpenApiExample("an answer", {**members, **_TRUE_TO}, response_only=True, status_codes=["200"])
    return {
        (200, "application/json"): OpenApiResponse(shape, "It, and how far that is true.", [example]),
        304: OpenApiResponse(description="What you have (If-None-Match) is still true."),
        **error_responses(),
    }


def error_responses() -> dict[Any, Any]:
    return {
        (status, PROBLEM_JSON): OpenApiResponse(
            Problem,
            description,
            [OpenApiExample(str(status), problem(status, detail), response_only=True, status_codes=[str(status)])],
        )
        for status, description, detail in _ERRORS
    }
