"""The routes about one account."""

from functools import partial

from django.http import QueryDict
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from balances.api import accounts, cursors, history, parameters, past, serializers
from balances.api.account_summary import summary
from balances.api.answers import answer_one
from balances.api.asking import read_list, read_one
from balances.api.documentation import (
    ACCOUNT_PARAMETER,
    TOKEN_PARAMETER,
    TRANSFER_PARAMETERS,
    list_parameters,
    one_parameters,
    parameter_names,
)
from balances.api.filters import BalanceFilters, TransferFilters, balance_filters, transfer_filters
from balances.api.lists import ListViewSet, answer
from balances.api.pages import Listing
from balances.api.responses import list_responses, one_responses
from balances.api.token_views import OF_ACCOUNTS, OF_BALANCES, TOKEN_BALANCE_ROW, TRANSFER_ROW

_ACCOUNT = one_parameters(ACCOUNT_PARAMETER)
_BALANCES = list_parameters(ACCOUNT_PARAMETER, TOKEN_PARAMETER, *OF_BALANCES)
_TRANSFERS = list_parameters(ACCOUNT_PARAMETER, TOKEN_PARAMETER, *OF_ACCOUNTS, *TRANSFER_PARAMETERS)
_ROW = {
    "address": serializers.EXAMPLE_ADDRESS,
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
        responses=one_responses(serializers.AccountAnswer, {"account": _ROW}),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        manner = read_one(request.query_params, allowed=parameter_names(_ACCOUNT))
        account = parameters.address(address, "address")
        return answer_one(request, manner, lambda: {"account": summary(account)})


class AccountBalancesViewSet(ListViewSet):
    """What an account holds of each token."""

    @extend_schema(
        operation_id="listAccountBalances",
        tags=["accounts"],
        parameters=_BALANCES,
        responses=list_responses(
            serializers.TokenBalances, "balances", {"address": serializers.EXAMPLE_ADDRESS, **TOKEN_BALANCE_ROW}
        ),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        return answer(request, *self.asks(request.query_params, address))

    @staticmethod
    def asks(query: QueryDict, address: str) -> Listing[BalanceFilters]:
        asked = read_list(
            query,
            route="account balances",
            allowed=parameter_names(_BALANCES),
            wanted=partial(balance_filters, address=address),
            shape=cursors.PATH_ADDRESS,
        )
        return Listing(asked, "balances", past.then(accounts.held, asked.wanted), serializers.TokenBalance)


class AccountTransfersViewSet(ListViewSet):
    """The transfers from or to an account, newest first."""

    @extend_schema(
        operation_id="listAccountTransfers",
        tags=["accounts"],
        parameters=_TRANSFERS,
        responses=list_responses(serializers.Transfers, "transfers", TRANSFER_ROW),
    )
    def list(self, request: Request, address: str) -> HttpResponseBase:
        return answer(request, *self.asks(request.query_params, address))

    @staticmethod
    def asks(query: QueryDict, address: str) -> Listing[TransferFilters]:
        asked = read_list(
            query,
            route="account transfers",
            allowed=parameter_names(_TRANSFERS),
            wanted=partial(transfer_filters, address=address),
            shape=cursors.EVENT,
        )
        return Listing(asked, "transfers", history.transfers, serializers.TransferEntry)
