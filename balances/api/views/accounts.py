"""The routes about one account."""

from functools import partial

from django.http import QueryDict
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from balances.api.openapi.parameters import (
    ACCOUNT_PARAMETER,
    TOKEN_PARAMETER,
    TRANSFER_PARAMETERS,
    list_parameters,
    one_parameters,
    parameter_names,
)
from balances.api.openapi.responses import list_responses, one_responses
from balances.api.pagination import cursors
from balances.api.params import parsing
from balances.api.params.filters import balance_filters, transfer_filters
from balances.api.params.requests import parse_list_request, parse_response_options
from balances.api.responses.envelope import answer_one
from balances.api.responses.list_response import ListQuery, ListViewSet, answer
from balances.api.serializers import balances
from balances.api.views.tokens import OF_ACCOUNTS, OF_BALANCES, TOKEN_BALANCE_ROW, TRANSFER_ROW
from balances.queries import account_balances, historical, transfers
from balances.queries.account_summary import summary
from balances.queries.filters import BalanceFilters, TransferFilters

_ACCOUNT = one_parameters(ACCOUNT_PARAMETER)
_BALANCES = list_parameters(ACCOUNT_PARAMETER, TOKEN_PARAMETER, *OF_BALANCES)
_TRANSFERS = list_parameters(ACCOUNT_PARAMETER, TOKEN_PARAMETER, *OF_ACCOUNTS, *TRANSFER_PARAMETERS)
_ROW = {
    "address": balances.EXAMPLE_ADDRESS,
    "tokensHeld": 2,
    "transfers": 14,
    "firstHeight": 21,
    "lastHeight": 485,
}


class AccountViewSet(ViewSet):
    """An account in a few numbers; one that never had a token has none of anything."""

    @extend_schema(
        operation_id="getAccount",
        tags=["accounts"],
        parameters=_ACCOUNT,
        responses=one_responses(balances.AccountAnswer, {"account": _ROW}),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        options = parse_response_options(request.query_params, allowed=parameter_names(_ACCOUNT))
        account = parsing.address(address, "address")
        return answer_one(request, options, lambda: {"account": summary(account)})


class AccountBalancesViewSet(ListViewSet):
    """What an account holds of each token."""

    @extend_schema(
        operation_id="listAccountBalances",
        tags=["accounts"],
        parameters=_BALANCES,
        responses=list_responses(
            balances.TokenBalances, "balances", {"address": balances.EXAMPLE_ADDRESS, **TOKEN_BALANCE_ROW}
        ),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        return answer(request, *parse_account_balances(request.query_params, address))


def parse_account_balances(query: QueryDict, address: str) -> ListQuery[BalanceFilters]:
    list_request = parse_list_request(
        query,
        route="account balances",
        allowed=parameter_names(_BALANCES),
        parse_filters=partial(balance_filters, address=address),
        shape=cursors.PATH_ADDRESS,
    )
    return ListQuery(
        list_request,
        "balances",
        historical.then(account_balances.held, list_request.filters),
        balances.TokenBalance,
    )


class AccountTransfersViewSet(ListViewSet):
    """The transfers from or to an account, newest first."""

    @extend_schema(
        operation_id="listAccountTransfers",
        tags=["accounts"],
        parameters=_TRANSFERS,
        responses=list_responses(balances.Transfers, "transfers", TRANSFER_ROW),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        return answer(request, *parse_account_transfers(request.query_params, address))


def parse_account_transfers(query: QueryDict, address: str) -> ListQuery[TransferFilters]:
    list_request = parse_list_request(
        query,
        route="account transfers",
        allowed=parameter_names(_TRANSFERS),
        parse_filters=partial(transfer_filters, address=address),
        shape=cursors.EVENT,
    )
    return ListQuery(list_request, "transfers", transfers.transfers, balances.TransferEntry)
