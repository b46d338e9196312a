"""The routes about what the chain holds: transactions by hash, blocks by height, and refused events."""

from base64 import b64decode
from typing import Any

from django.http import QueryDict
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from balances.api.openapi import responses
from balances.api.openapi.parameters import (
    CURSOR_PARAMETER,
    FROM_HEIGHT_PARAMETER,
    LIMIT_PARAMETER,
    ORDER_PARAMETER,
    TO_HEIGHT_PARAMETER,
    list_parameters,
    one_parameters,
    parameter_names,
)
from balances.api.pagination import cursors
from balances.api.params import parsing
from balances.api.params.filters import refused_filters
from balances.api.params.hashes import read_hash
from balances.api.params.parsing import DEFAULT_LIMIT, MAX_HEIGHT, MAX_LIMIT
from balances.api.params.requests import ResponseOptions, parse_list_request, parse_response_options, scope_of
from balances.api.responses.envelope import answer_one, write_amounts
from balances.api.responses.list_response import ListViewSet, answer
from balances.api.responses.problems import PROBLEM_JSON, problem
from balances.api.serializers import chain as chain_serializers
from balances.api.serializers.balances import Problem
from balances.queries import chain, refused_events, transfers
from balances.queries.filters import TransferFilters
from balances.queries.page import Page, PageRequest
from events.parsing.grc20 import REASONS
from events.refused.search import RefusedEventFilters

_HASH = "bs6IgCvzDBPt6EC0gNM40+XfLX2gf1keAXQayrkTTyU="
_REFUSED_ROW = {
    "blockHeight": 485,
    "blockTime": "2026-08-07T12:00:00.000000Z",
    "txHash": _HASH,
    "txIndex": 0,
    "eventIndex": 1,
    "emitter": "gno.land/r/demo/defi/foo20",
    "type": "Transfer",
    "attributes": [{"key": "token", "value": "gno.land/r/demo/defi/bar20.BAR.0000000"}],
    "reason": "foreign_emitter",
    "detail": "It names gno.land/r/demo/defi/bar20.BAR.0000000, and comes from gno.land/r/demo/defi/foo20.",
}
_TRANSACTION_ROW = {
    "txHash": _HASH,
    "blockHeight": 485,
    "blockTime": "2026-08-07T12:00:00.000000Z",
    "txIndex": 0,
    "success": True,
    "gasWanted": 2000000,
    "gasUsed": 1382512,
    "gasFee": "1000000ugnot",
    "memo": "",
    "error": "",
    "transfers": [],
    "transfersNext": None,
    "refusedEvents": [_REFUSED_ROW],
    "refusedEventsNext": None,
}

HASH_PARAMETER = OpenApiParameter(
    "hash",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="SHA-256 in base64, as the chain gives it (`/` and `+` as they are, or percent-encoded), or for URLs; "
    "or in hexadecimal.",
    examples=[
        OpenApiExample("base64", _HASH),
        OpenApiExample("for URLs", _HASH.replace("+", "-").replace("/", "_").rstrip("=")),
        OpenApiExample("hexadecimal", b64decode(_HASH).hex()),
    ],
)
HEIGHT_PARAMETER = OpenApiParameter(
    "height",
    {"type": "integer", "minimum": 0, "maximum": MAX_HEIGHT},
    OpenApiParameter.PATH,
    description="From 0, which is genesis.",
)
REASON_PARAMETER = OpenApiParameter(
    "reason",
    {"type": "array", "items": {"type": "string", "enum": list(REASONS)}, "minItems": 1},
    style="form",
    explode=False,
    description="Only what was refused for one of these reasons, comma-separated.",
)
EMITTER_PARAMETER = OpenApiParameter(
    "emitter", OpenApiTypes.STR, description="Only what this package emitted: its path, to the letter. Empty: all."
)
EVENT_TYPE_PARAMETER = OpenApiParameter(
    "type",
    OpenApiTypes.STR,
    description="Only events of this type, to the letter. Looked for in a bounded number of rows a page, as are the "
    "reasons of one emitter: so a page may be short, or empty, while `next` is not null.",
)

_REFUSED = list_parameters(
    REASON_PARAMETER,
    EMITTER_PARAMETER,
    EVENT_TYPE_PARAMETER,
    FROM_HEIGHT_PARAMETER,
    TO_HEIGHT_PARAMETER,
    ORDER_PARAMETER,
)
_TRANSACTION = one_parameters(HASH_PARAMETER, CURSOR_PARAMETER)
_BLOCK = one_parameters(HEIGHT_PARAMETER, LIMIT_PARAMETER)


def _not_stored(what: str) -> dict[Any, Any]:
    detail = f"{what}. Stored without a gap up to height 485, indexed up to 485; the chain is at 485."
    example = OpenApiExample(
        "404", problem(404, detail) | {"indexedHeight": 485}, response_only=True, status_codes=["404"]
    )
    return {(404, PROBLEM_JSON): OpenApiResponse(Problem, "It is not stored, or not yet; or no such route.", [example])}


class TransactionViewSet(ViewSet):
    """The transactions with a hash, newest first, each with its transfers and its refused events.

    Hashes are not unique on real chains. `transfers` is complete when `blockHeight` is at most `indexedHeight`.
    """

    @extend_schema(
        operation_id="getTransactions",
        tags=["chain"],
        parameters=_TRANSACTION,
        responses=responses.list_responses(
            chain_serializers.Transactions, "transactions", _TRANSACTION_ROW, lines=False
        )
        | _not_stored(f"There is no transaction {_HASH} in the blocks that are stored"),
    )
    def list(self, request: Request, hash: str) -> HttpResponseBase:
        list_request = parse_list_request(
            request.query_params,
            route="transactions",
            allowed=parameter_names(_TRANSACTION),
            parse_filters=lambda _: read_hash(hash),
            shape=cursors.TRANSACTION,
        )

        def read(tx_hash: str, part: PageRequest) -> Page:
            page = chain.transactions(tx_hash, part)
            for row in page.rows:
                _cut(request, list_request.options, row, row["blockHeight"], chain.SHOWN)
            return page

        return answer(request, list_request, "transactions", read)


class BlockViewSet(ViewSet):
    """A block, with the first transfers and refused events in it, and where the others are."""

    @extend_schema(
        operation_id="getBlock",
        tags=["chain"],
        parameters=_BLOCK,
        responses=responses.one_responses(
            chain_serializers.BlockAnswer,
            {
                "block": {
                    "height": 485,
                    "hash": "0mUrn5nzyhN+QzsExYCHjPLTBi5hCkNGTV1FLOOpHCY=",
                    "lastBlockHash": "8v0jn5nzyhN+QzsExYCHjPLTBi5hCkNGTV1FLOOpHCY=",
                    "time": "2026-08-07T12:00:00.000000Z",
                    "numTxs": 1,
                    "totalTxs": 800,
                    "proposerAddress": "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5",
                },
                "transfers": [],
                "transfersNext": None,
                "refusedEvents": [_REFUSED_ROW],
                "refusedEventsNext": None,
            },
        )
        | _not_stored("Block 486 is not stored"),
    )
    def list(self, request: Request, height: str) -> HttpResponseBase:
        options = parse_response_options(request.query_params, allowed=parameter_names(_BLOCK))
        number = parsing.whole_of(height, "height", 0, MAX_HEIGHT)
        limit = parsing.whole(request.query_params, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT

        def read() -> dict[str, Any]:
            block = chain.block(number)
            rows = transfers.transfers(_transfers_in(number), PageRequest(limit + 1)).rows
            events = refused_events.refused_events(_refused_in(number), PageRequest(limit + 1)).rows
            members: dict[str, Any] = {"transfers": rows, "refusedEvents": events}
            _cut(request, options, members, number, limit)
            return {"block": block, **members}

        return answer_one(request, options, read)


class RefusedEventsViewSet(ListViewSet):
    """Events that look like token events and move no balance, newest first, each with the reason."""

    @extend_schema(
        operation_id="listRefusedEvents",
        tags=["chain"],
        parameters=_REFUSED,
        responses=responses.list_responses(chain_serializers.RefusedEvents, "refusedEvents", _REFUSED_ROW),
    )
    def list(self, request: Request) -> HttpResponseBase:
        list_request = parse_list_request(
            request.query_params,
            route="refused",
            allowed=parameter_names(_REFUSED),
            parse_filters=refused_filters,
            shape=cursors.EVENT,
        )
        return answer(
            request, list_request, "refusedEvents", refused_events.refused_events, chain_serializers.RefusedEntry
        )


def _cut(request: Request, options: ResponseOptions, members: dict[str, Any], height: int, most: int) -> None:
    """Leave `most` transfers and refused events of the block at `height` in `members`, and say where the rest is."""
    lists = (
        ("transfers", "/tokens/transfer-history", scope_of("transfers", _transfers_in(height))),
        ("refusedEvents", "/events/refused", scope_of("refused", _refused_in(height))),
    )
    for key, path, scope in lists:
        rows = members.pop(key)
        members[key], members[f"{key}Next"] = rows[:most], None
        if len(rows) > most:
            last = (rows[most - 1][name] for name in ("blockHeight", "txIndex", "eventIndex"))
            members[f"{key}Next"] = _following(request, options, path, height, cursors.encode(tuple(last), scope))
    if options.text_amounts:
        for row in members["transfers"]:
            write_amounts(row)


def _following(request: Request, options: ResponseOptions, path: str, height: int, cursor: str) -> str:
    query = QueryDict(mutable=True)
    query.update({"fromHeight": str(height), "toHeight": str(height), "order": "asc"})
    if options.text_amounts:
        query["amounts"] = "string"
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{path}?{query.urlencode()}")


def _transfers_in(height: int) -> TransferFilters:
    return TransferFilters(from_height=height, to_height=height, ascending=True)


def _refused_in(height: int) -> RefusedEventFilters:
    return RefusedEventFilters(from_height=height, to_height=height, ascending=True)
