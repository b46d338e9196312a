"""The routes about the past of one account and one token."""

from django.http import QueryDict
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from balances.api.openapi.parameters import (
    ACCOUNT_PARAMETER,
    ENCODED,
    FROM_HEIGHT_PARAMETER,
    FROM_TIME_PARAMETER,
    TO_HEIGHT_PARAMETER,
    TO_TIME_PARAMETER,
    list_parameters,
    one_parameters,
    parameter_names,
)
from balances.api.openapi.responses import list_responses, one_responses
from balances.api.pagination import cursors
from balances.api.params import parsing
from balances.api.params.filters import read_interval, read_period
from balances.api.params.requests import parse_list_request, parse_response_options
from balances.api.responses.envelope import answer_one
from balances.api.responses.list_response import ListViewSet, answer
from balances.api.serializers import history
from balances.api.serializers.balances import EXAMPLE_ADDRESS, EXAMPLE_PATH
from balances.api.views.tokens import TRANSFER_ROW
from balances.queries.series import DEFAULT_POINTS, MAX_POINTS, series
from balances.queries.statement import StatementFilters, statement

_PERIOD = (FROM_HEIGHT_PARAMETER, TO_HEIGHT_PARAMETER, FROM_TIME_PARAMETER, TO_TIME_PARAMETER)
_ONE_TOKEN = OpenApiParameter(
    "tokenPath",
    OpenApiTypes.STR,
    OpenApiParameter.PATH,
    description="The token's id; or its key (realm.SYMBOL, or realm:SYMBOL) or realm, when that means one token: else "
    f"400 names the ids. {ENCODED}",
    examples=[OpenApiExample("id", EXAMPLE_PATH)],
)
_INTERVAL = OpenApiParameter(
    "interval",
    {"type": "string", "pattern": "^[1-9][0-9]{0,8}[smhdw]?$"},
    description=f"The distance of two points: blocks, or a time in seconds, minutes, hours, days or weeks. At most "
    f"{MAX_POINTS} points; without it, {DEFAULT_POINTS} over the whole period.",
    examples=[OpenApiExample("not given"), OpenApiExample("a day", "1d"), OpenApiExample("100 blocks", "100")],
)
_STATEMENT = list_parameters(ACCOUNT_PARAMETER, _ONE_TOKEN, *_PERIOD)
_SERIES = one_parameters(ACCOUNT_PARAMETER, _ONE_TOKEN, _INTERVAL, *_PERIOD)
_WHOSE = {"address": EXAMPLE_ADDRESS, "tokenPath": EXAMPLE_PATH}
_POINT = {"height": 485, "time": "2026-08-07T12:00:00.000000Z", "amount": 1000000}
_BESIDE = {
    **_WHOSE,
    "fromHeight": 0,
    "toHeight": 485,
    "openingBalance": 0,
    "closingBalance": 1000000,
    "pageOpeningBalance": 0,
    "pageClosingBalance": 1000000,
    "consistent": True,
}
_ENTRY = {**TRANSFER_ROW, "change": 1000000, "balanceBefore": 0, "balanceAfter": 1000000}


class StatementViewSet(ListViewSet):
    """The transfers that made a balance, oldest first, with the balance before and after each; the sums are checked."""

    @extend_schema(
        operation_id="getStatement",
        tags=["accounts"],
        parameters=_STATEMENT,
        responses=list_responses(history.Statement, "transfers", _ENTRY, beside=_BESIDE),
    )
    def list(self, request: Request, address: str, tokenPath: str) -> HttpResponseBase:
        def parse_filters(query: QueryDict) -> StatementFilters:
            account = parsing.address(address, "address")
            return StatementFilters(account, parsing.token(tokenPath, "tokenPath"), read_period(query))

        list_request = parse_list_request(
            request.query_params,
            route="statement",
            allowed=parameter_names(_STATEMENT),
            parse_filters=parse_filters,
            shape=cursors.EVENT,
        )
        return answer(request, list_request, "transfers", statement, history.StatementEntry)


class SeriesViewSet(ViewSet):
    """What an account held of a token along a period: points to draw, the last one at its end."""

    @extend_schema(
        operation_id="getSeries",
        tags=["accounts"],
        parameters=_SERIES,
        responses=one_responses(history.Series, {**_WHOSE, "points": [_POINT]}),
    )
    def list(self, request: Request, address: str, tokenPath: str) -> HttpResponseBase:
        query = request.query_params
        options = parse_response_options(query, allowed=parameter_names(_SERIES))
        account, token = parsing.address(address, "address"), parsing.token(tokenPath, "tokenPath")
        period, interval = read_period(query), read_interval(query)
        return answer_one(request, options, lambda: series(account, token, period, interval))
