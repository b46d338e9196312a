"""What the OpenAPI schema says of parameters, headers, errors and examples (drf-spectacular)."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework.serializers import BaseSerializer

from balances.api.parameters import DEFAULT_LIMIT, MAX_LIMIT
from balances.api.problems import PROBLEM_JSON, problem
from balances.api.refusals import RETRY_SECONDS
from balances.api.serializers import EXAMPLE_ADDRESS, EXAMPLE_PATH, Problem

_SPELLINGS = "The token's id, its key (realm.SYMBOL) or its realm, which means every token of that realm."
_MEANT = {"id": EXAMPLE_PATH, "realm": "gno.land/r/demo/defi/grc20factory"}

ADDRESS_PARAMETER = OpenApiParameter(
    "address",
    OpenApiTypes.STR,
    description="Only this account: bech32, to the letter (`G1…` and `g1…` are different accounts). Empty: all.",
    examples=[OpenApiExample("all"), OpenApiExample("one account", EXAMPLE_ADDRESS)],
)
TOKEN_PARAMETER = OpenApiParameter("token", OpenApiTypes.STR, description=f"Only this token. {_SPELLINGS} Empty: all.")
TOKEN_PATH_PARAMETER = OpenApiParameter(
    "tokenPath",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description=f"{_SPELLINGS} Slashes and dots as they are, or percent-encoded; `#` always as %23.",
    examples=[OpenApiExample("id", _MEANT["id"]), OpenApiExample("realm", _MEANT["realm"])],
)
LIMIT_PARAMETER = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    description="Rows on a page.",
)
CURSOR_PARAMETER = OpenApiParameter(
    "cursor", OpenApiTypes.STR, description="Where the page begins: from `next`, for the same route and filters only."
)
AMOUNTS_PARAMETER = OpenApiParameter(
    "amounts",
    OpenApiTypes.STR,
    enum=["string"],
    description="Amounts as strings, for clients that have only doubles.",
)
INCLUDE_PARAMETER = OpenApiParameter(
    "include", OpenApiTypes.STR, enum=["zero"], description="Rows with an amount of zero too."
)
_IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The ETag of an answer you have: 304 when it is still true.",
)
_ANSWERED = [
    OpenApiParameter("ETag", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200], description="Content version."),
    OpenApiParameter(
        "X-Indexed-Height", OpenApiTypes.INT, OpenApiParameter.HEADER, response=[200, 304], description="indexedHeight."
    ),
    OpenApiParameter(
        "Link",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=[200],
        description='`<next>; rel="next"`.',
    ),
    OpenApiParameter(
        "Retry-After", OpenApiTypes.INT, OpenApiParameter.HEADER, response=[429, 503], description="Seconds to wait."
    ),
]

_ERRORS: Sequence[tuple[int, str, str]] = [
    (
        400,
        "A parameter is malformed, unknown or given twice.",
        "limit: '0' is not a limit. A whole number from 1 to 1000.",
    ),
    (404, "No such route.", "There is nothing at '/tokens/balance'. See /docs."),
    (405, "Only GET, HEAD and OPTIONS.", 'Method "POST" not allowed.'),
    (406, "None of the accepted types is served.", "Could not satisfy the request Accept header."),
    (429, "Too many requests; Retry-After says when.", "Request was throttled. Expected available in 5 seconds."),
    (500, "A fault of the server.", "This is a fault of the server, and it is in its log."),
    (
        503,
        f"The database is away; Retry-After ({RETRY_SECONDS} s) says when.",
        "The database does not answer. Nothing is lost; try again.",
    ),
]


def list_parameters(*own: OpenApiParameter) -> list[OpenApiParameter]:
    """The parameters of a list route: its own, and those that every list has."""
    return [*own, LIMIT_PARAMETER, CURSOR_PARAMETER, AMOUNTS_PARAMETER, _IF_NONE_MATCH, *_ANSWERED]


def parameter_names(parameters: Sequence[OpenApiParameter]) -> tuple[str, ...]:
    """The names that a query string may have, so that what is documented and what is allowed are one list."""
    return tuple(parameter.name for parameter in parameters if parameter.location == OpenApiParameter.QUERY)


def list_responses(shape: type[BaseSerializer[Any]], key: str, row: dict[str, Any]) -> dict[Any, Any]:
    """The responses of a list route: a page of `row`s under `key`, 304, and every error."""
    example = OpenApiExample(
        "a page",
        {
            key: [row],
            "next": "https://balances.example.org/…?cursor=WzEsIjQy…",
            "chainId": "gnotest-1",
            "indexedHeight": 485,
            "includesUpTo": 485,
            "acceptedGaps": 0,
        },
        response_only=True,
        status_codes=["200"],
    )
    return {
        (200, "application/json"): OpenApiResponse(shape, "A page, and how far it is true.", [example]),
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


def without_trailing_slash(endpoints: list[tuple[str, str, str, Any]], **_: Any) -> list[tuple[str, str, str, Any]]:
    """drf-spectacular hook: a trailing slash is optional everywhere, so the schema names each route once, without."""
    return [(path.rstrip("/") or "/", regex, method, view) for path, regex, method, view in endpoints]
