"""The routes about tokens: each reads its parameters, calls one query, and answers."""

from functools import partial
from typing import Any

from django.http import QueryDict
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from balances.api.openapi.parameters import (
    ADDRESS_PARAMETER,
    COUNTERPARTY_PARAMETER,
    DIRECTION_PARAMETER,
    HEIGHT_PARAMETER,
    INCLUDE_PARAMETER,
    MIN_AMOUNT_PARAMETER,
    SEARCH_PARAMETER,
    STANDARD_PARAMETER,
    TIME_PARAMETER,
    TOKEN_PARAMETER,
    TOKEN_PATH_PARAMETER,
    TRANSFER_PARAMETERS,
    list_parameters,
    parameter_names,
)
from balances.api.openapi.responses import list_responses
from balances.api.pagination import cursors
from balances.api.params.filters import balance_filters, read_when, token_filters, transfer_filters
from balances.api.params.parsing import token
from balances.api.params.requests import parse_list_request
from balances.api.responses.list_response import ListQuery, ListViewSet, answer
from balances.api.serializers import balances
from balances.queries import account_balances, historical, holders, token_list, transfers
from balances.queries.filters import BalanceFilters, TokenFilters, TransferFilters

OF_BALANCES = (HEIGHT_PARAMETER, TIME_PARAMETER, MIN_AMOUNT_PARAMETER, STANDARD_PARAMETER, INCLUDE_PARAMETER)
OF_ACCOUNTS = (DIRECTION_PARAMETER, COUNTERPARTY_PARAMETER)
_TOKENS = list_parameters(TOKEN_PARAMETER, SEARCH_PARAMETER, STANDARD_PARAMETER)
_TOKEN = list_parameters(TOKEN_PATH_PARAMETER, HEIGHT_PARAMETER, TIME_PARAMETER)
_BALANCES = list_parameters(ADDRESS_PARAMETER, TOKEN_PARAMETER, *OF_BALANCES)
_TOKEN_BALANCES = list_parameters(TOKEN_PATH_PARAMETER, ADDRESS_PARAMETER, *OF_BALANCES)
_HOLDERS = list_parameters(TOKEN_PATH_PARAMETER, *OF_BALANCES)
_HISTORY = list_parameters(ADDRESS_PARAMETER, TOKEN_PARAMETER, *OF_ACCOUNTS, *TRANSFER_PARAMETERS)
_TRANSFERS = list_parameters(TOKEN_PATH_PARAMETER, ADDRESS_PARAMETER, *OF_ACCOUNTS, *TRANSFER_PARAMETERS)

_PATH = {"tokenPath": balances.EXAMPLE_PATH}
_ADDRESS = {"address": balances.EXAMPLE_ADDRESS}
_NAMES = {"name": "Foo", "symbol": "FOO", "decimals": 4}
_DOUBTS: dict[str, Any] = {"flags": []}
_HASH = "xs2xLbtTnGSMbIxfzO6c7vhXLgFgzuJ7VJrmtAdRuwc="
TOKEN_BALANCE_ROW = {**_PATH, "amount": 1000000, **_NAMES, **_DOUBTS}
TRANSFER_ROW = {
    "fromAddress": "",
    "toAddress": balances.EXAMPLE_ADDRESS,
    **_PATH,
    "amount": 1000000,
    "type": "mint",
    "blockHeight": 485,
    "blockTime": "2026-08-07T12:00:00.000000Z",
    "txHash": _HASH,
    "txIndex": 0,
    "eventIndex": 1,
}
_TOKEN_ROW = {
    **_PATH,
    **_NAMES,
    "supply": 1000000,
    "minted": 1500000,
    "burned": 500000,
    "holders": 3,
    "transfers": 12,
    "standard": True,
    "firstSeenHeight": 21,
    "firstSeenTxHash": _HASH,
    **_DOUBTS,
}


class TokensViewSet(ListViewSet):
    """Every token with its metadata, supply, and the number of its holders and transfers."""

    @extend_schema(
        operation_id="listTokens",
        tags=["tokens"],
        parameters=_TOKENS,
        responses=list_responses(balances.Tokens, "tokens", _TOKEN_ROW),
    )
    def list(self, request: Request) -> HttpResponseBase:
        list_request = parse_list_request(
            request.query_params,
            route="tokens",
            allowed=parameter_names(_TOKENS),
            parse_filters=token_filters,
            shape=cursors.PATH,
        )
        return answer(request, list_request, "tokens", token_list.tokens, balances.TokenEntry)


class TokenViewSet(ListViewSet):
    """The tokens that a path means: one for an id, all of a key or of a realm, none for one that is unknown."""

    @extend_schema(
        operation_id="getTokens",
        tags=["tokens"],
        parameters=_TOKEN,
        responses=list_responses(balances.Tokens, "tokens", _TOKEN_ROW),
    )
    def list(self, request: Request, tokenPath: str) -> HttpResponseBase:
        list_request = parse_list_request(
            request.query_params,
            route="token",
            allowed=parameter_names(_TOKEN),
            parse_filters=lambda query: TokenFilters(tokens=(token(tokenPath, "tokenPath"),), when=read_when(query)),
            shape=cursors.PATH,
        )
        read = token_list.tokens if list_request.filters.when is None else historical.tokens
        return answer(request, list_request, "tokens", read, balances.TokenEntry)


class TokenBalancesViewSet(ListViewSet):
    """Every token with the sum over all accounts; with an address, what that account holds of each."""

    @extend_schema(
        operation_id="listTokenBalances",
        tags=["tokens"],
        parameters=_BALANCES,
        responses=list_responses(balances.TokenBalances, "balances", TOKEN_BALANCE_ROW),
    )
    def list(self, request: Request) -> HttpResponseBase:
        return answer(request, *parse_token_balances(request.query_params))


def parse_token_balances(query: QueryDict) -> ListQuery[BalanceFilters]:
    list_request = parse_list_request(
        query,
        route="balances",
        allowed=parameter_names(_BALANCES),
        parse_filters=balance_filters,
        shape=lambda filters: cursors.PATH_ADDRESS if filters.addresses else cursors.PATH,
    )
    read = account_balances.held if list_request.filters.addresses else token_list.sums
    return ListQuery(list_request, "balances", historical.then(read, list_request.filters), balances.TokenBalance)


class TokenHoldersViewSet(ListViewSet):
    """Every holder of a token, largest first; with an address, what that account holds of it."""

    @extend_schema(
        operation_id="listHolders",
        tags=["tokens"],
        parameters=_TOKEN_BALANCES,
        responses=list_responses(
            balances.AccountBalances, "accountBalances", {**_ADDRESS, **_PATH, "amount": 1000000, **_DOUBTS}
        ),
    )
    def list(self, request: Request, tokenPath: str) -> HttpResponseBase:
        return answer(request, *parse_holder_balances(request.query_params, tokenPath))


def parse_holder_balances(query: QueryDict, tokenPath: str) -> ListQuery[BalanceFilters]:
    list_request = parse_list_request(
        query,
        route="holders",
        allowed=parameter_names(_TOKEN_BALANCES),
        parse_filters=partial(balance_filters, token=tokenPath),
        shape=lambda filters: cursors.PATH_ADDRESS if filters.addresses else _holder_shape(filters),
    )
    read = account_balances.held_of_tokens if list_request.filters.addresses else holders.holders
    return ListQuery(
        list_request, "accountBalances", historical.then(read, list_request.filters), balances.AccountBalance
    )


class TokenSharesViewSet(ListViewSet):
    """Every holder of a token, largest first, with its share of the supply."""

    @extend_schema(
        operation_id="listShares",
        tags=["tokens"],
        parameters=_HOLDERS,
        responses=list_responses(
            balances.Holders, "holders", {**_ADDRESS, **_PATH, "amount": 250000, "share": "0.250000000000"}
        ),
    )
    def list(self, request: Request, tokenPath: str) -> HttpResponseBase:
        return answer(request, *parse_holders(request.query_params, tokenPath))


def parse_holders(query: QueryDict, tokenPath: str) -> ListQuery[BalanceFilters]:
    list_request = parse_list_request(
        query,
        route="shares",
        allowed=parameter_names(_HOLDERS),
        parse_filters=partial(balance_filters, token=tokenPath),
        shape=_holder_shape,
    )
    return ListQuery(
        list_request, "holders", historical.then(holders.shares, list_request.filters), balances.HolderEntry
    )


class TokenTransfersViewSet(ListViewSet):
    """The transfers of a token, newest first; with an address, those from or to it."""

    @extend_schema(
        operation_id="listTokenTransfers",
        tags=["tokens"],
        parameters=_TRANSFERS,
        responses=list_responses(balances.Transfers, "transfers", TRANSFER_ROW),
    )
    def list(self, request: Request, tokenPath: str) -> HttpResponseBase:
        return answer(request, *parse_token_transfers(request.query_params, tokenPath))


def parse_token_transfers(query: QueryDict, tokenPath: str) -> ListQuery[TransferFilters]:
    list_request = parse_list_request(
        query,
        route="token transfers",
        allowed=parameter_names(_TRANSFERS),
        parse_filters=partial(transfer_filters, token=tokenPath),
        shape=cursors.EVENT,
    )
    return ListQuery(list_request, "transfers", transfers.transfers, balances.TransferEntry)


class TransferHistoryViewSet(ListViewSet):
    """All transfers, newest first; with an address, those from or to it; with a token, those of that token."""

    @extend_schema(
        operation_id="listTransfers",
        tags=["tokens"],
        parameters=_HISTORY,
        responses=list_responses(balances.Transfers, "transfers", TRANSFER_ROW),
    )
    def list(self, request: Request) -> HttpResponseBase:
        return answer(request, *parse_transfer_history(request.query_params))


def parse_transfer_history(query: QueryDict) -> ListQuery[TransferFilters]:
    list_request = parse_list_request(
        query,
        route="transfers",
        allowed=parameter_names(_HISTORY),
        parse_filters=transfer_filters,
        shape=cursors.EVENT,
    )
    return ListQuery(list_request, "transfers", transfers.transfers, balances.TransferEntry)


def _holder_shape(filters: BalanceFilters) -> cursors.Shape:
    return cursors.HOLDER if filters.when is None else cursors.PATH_ACCOUNT
