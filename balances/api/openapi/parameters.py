"""What the OpenAPI schema says of parameters and headers (drf-spectacular)."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter

from balances.api.params.parsing import DEFAULT_LIMIT, FORMAT, MAX_HEIGHT, MAX_LIMIT, MAX_SEVERAL
from balances.api.responses.min_height import DEFAULT_SECONDS, MAX_SECONDS
from balances.api.serializers.balances import EXAMPLE_ADDRESS, EXAMPLE_PATH
from balances.models import MAX_AMOUNT
from balances.queries.filters import DIRECTIONS, MAX_SEARCH, ORDERS, TYPES

_SPELLINGS = (
    "The token's id, its key (realm.SYMBOL, or realm:SYMBOL) or its realm, which means every token of that realm and "
    "of its sub-realms (realm#sub). What no chain could have is a 400; what this one has not had yet, an empty list."
)
ENCODED = "Slashes and dots as they are, or percent-encoded; `#` always as `%23`, `?` as `%3F`."
_MEANT = {"id": EXAMPLE_PATH, "realm": "gno.land/r/demo/defi/grc20factory"}

_SEVERAL = f"Several, comma-separated, at most {MAX_SEVERAL}: of any of them."
_SHORT = "Looked for in a bounded number of rows a page, so a page may be short, or empty, while `next` is not null."

ADDRESS_PARAMETER = OpenApiParameter(
    "address",
    OpenApiTypes.STR,
    description="Only this account: bech32, to the letter (`G1…` and `g1…` are different accounts). Empty: all. "
    f"{_SEVERAL}",
    examples=[OpenApiExample("all"), OpenApiExample("one account", EXAMPLE_ADDRESS)],
)
TOKEN_PARAMETER = OpenApiParameter(
    "token",
    OpenApiTypes.STR,
    description=f"Only this token. {_SPELLINGS} Empty: all. {_SEVERAL} A comma "
    "separates where a realm's path follows, and else belongs to the symbol; repeated, each value is one token, "
    "whatever it holds. A `#` is sent as `%23`.",
)
TOKEN_PATH_PARAMETER = OpenApiParameter(
    "tokenPath",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description=f"{_SPELLINGS} {ENCODED} A symbol that ends in a slash or like a route (`/holders`): /tokens?token=…",
    examples=[OpenApiExample("id", _MEANT["id"]), OpenApiExample("realm", _MEANT["realm"])],
)
LIMIT_PARAMETER = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    description="Rows on a page. Lines (CSV, NDJSON) without it are the whole list.",
)
FORMAT_PARAMETER = OpenApiParameter(
    FORMAT,
    OpenApiTypes.STR,
    enum=["json", "csv", "ndjson"],
    default="json",
    description="The form of the answer, when it is not told by Accept.",
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
SEARCH_PARAMETER = OpenApiParameter(
    "search",
    {"type": "string", "maxLength": MAX_SEARCH},
    description=f"Only tokens with this in their name, symbol or path, in any case. {_SHORT}",
)
ACCOUNT_PARAMETER = OpenApiParameter(
    "address",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="The ledger key: bech32, to the letter (`G1…` and `g1…` are different accounts).",
    examples=[OpenApiExample("an account", EXAMPLE_ADDRESS)],
)
TYPE_PARAMETER = OpenApiParameter(
    "type",
    {"type": "array", "items": {"type": "string", "enum": list(TYPES)}, "minItems": 1},
    style="form",
    explode=False,
    description=f"Only these kinds of movement, comma-separated. {_SHORT}",
)
DIRECTION_PARAMETER = OpenApiParameter(
    "direction", OpenApiTypes.STR, enum=DIRECTIONS, description="Only what the accounts of `address` got, or gave."
)
COUNTERPARTY_PARAMETER = OpenApiParameter(
    "counterparty",
    OpenApiTypes.STR,
    description=f"Only between the accounts of `address` and this one. {_SHORT}",
)
FROM_HEIGHT_PARAMETER = OpenApiParameter(
    "fromHeight", {"type": "integer", "minimum": 0, "maximum": MAX_HEIGHT}, description="From this height on."
)
TO_HEIGHT_PARAMETER = OpenApiParameter(
    "toHeight", {"type": "integer", "minimum": 0, "maximum": MAX_HEIGHT}, description="Up to this height, inclusive."
)
HEIGHT_PARAMETER = OpenApiParameter(
    "height",
    {"type": "integer", "minimum": 0, "maximum": MAX_HEIGHT},
    description="As it was at this height, exactly; above indexedHeight: 409. Not largest first, but in an order that "
    "stays, and a page may be short, or empty, while `next` is not null.",
)
_TIME = "RFC 3339 (a `+` is written `%2B`), or seconds since 1970."
FROM_TIME_PARAMETER = OpenApiParameter("fromTime", OpenApiTypes.STR, description=f"From this chain time on: {_TIME}")
TO_TIME_PARAMETER = OpenApiParameter("toTime", OpenApiTypes.STR, description=f"Up to this chain time: {_TIME}")
TIME_PARAMETER = OpenApiParameter(
    "time",
    OpenApiTypes.STR,
    description=f"As it was after the last block of up to this chain time: {_TIME} As `height`, of which one is given.",
)
MIN_AMOUNT_PARAMETER = OpenApiParameter(
    "minAmount",
    {"type": "integer", "minimum": 0, "maximum": MAX_AMOUNT},
    description="Only amounts of at least this much, in the token's smallest unit.",
)
STANDARD_PARAMETER = OpenApiParameter(
    "standard",
    {"type": "boolean"},
    description=f"Only tokens that the chain's GRC20 library stamps, or only the others (of scripts, too). {_SHORT}",
)
ORDER_PARAMETER = OpenApiParameter(
    "order", OpenApiTypes.STR, enum=ORDERS, default="desc", description="Newest first (desc), or oldest first (asc)."
)
TRANSFER_PARAMETERS = (
    TYPE_PARAMETER,
    FROM_HEIGHT_PARAMETER,
    TO_HEIGHT_PARAMETER,
    FROM_TIME_PARAMETER,
    TO_TIME_PARAMETER,
    MIN_AMOUNT_PARAMETER,
    STANDARD_PARAMETER,
    ORDER_PARAMETER,
)
MIN_HEIGHT_PARAMETER = OpenApiParameter(
    "minHeight",
    {"type": "integer", "minimum": 0, "maximum": MAX_HEIGHT},
    description=f"Wait until this height is indexed: {DEFAULT_SECONDS} seconds, or what `Prefer: wait=…` says, at most "
    f"{MAX_SECONDS}; then 409.",
)
INCLUDE_PARAMETER = OpenApiParameter(
    "include", OpenApiTypes.STR, enum=["zero"], description="Rows with an amount of zero too."
)
_PREFER = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=` so many seconds for minHeight (RFC 7240).",
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
        "X-Chain-Id", OpenApiTypes.STR, OpenApiParameter.HEADER, response=[200], description="chainId, with lines."
    ),
    OpenApiParameter(
        "X-Includes-Up-To",
        OpenApiTypes.INT,
        OpenApiParameter.HEADER,
        response=[200],
        description="includesUpTo, with lines.",
    ),
    OpenApiParameter(
        "X-Accepted-Gaps",
        OpenApiTypes.INT,
        OpenApiParameter.HEADER,
        response=[200],
        description="acceptedGaps, with lines.",
    ),
    OpenApiParameter(
        "X-First-Height",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        response=[200],
        description="firstHeight, with lines; empty while it is null.",
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


def list_parameters(*own: OpenApiParameter) -> list[OpenApiParameter]:
    """The parameters of a list route: its own, and those that every list has."""
    return [*own, LIMIT_PARAMETER, CURSOR_PARAMETER, FORMAT_PARAMETER, *one_parameters()]


def one_parameters(*own: OpenApiParameter) -> list[OpenApiParameter]:
    """The parameters of a route about one thing: its own, and those that every answer has."""
    return [*own, AMOUNTS_PARAMETER, MIN_HEIGHT_PARAMETER, _PREFER, _IF_NONE_MATCH, *_ANSWERED]


def parameter_names(parameters: Sequence[OpenApiParameter]) -> tuple[str, ...]:
    """The names that a query string may have, so that what is documented and what is allowed are one list."""
    return tuple(parameter.name for parameter in parameters if parameter.location == OpenApiParameter.QUERY)


def without_trailing_slash(endpoints: list[tuple[str, str, str, Any]], **_: Any) -> list[tuple[str, str, str, Any]]:
    """drf-spectacular hook: a trailing slash is optional everywhere, so the schema names each route once, without."""
    return [(path.rstrip("/") or "/", regex, method, view) for path, regex, method, view in endpoints]
