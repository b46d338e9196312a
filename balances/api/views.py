"""The routes: each reads its parameters, calls one query, and answers."""

from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from balances.api import accounts, cursors, documentation, history, holders, serializers, tokens
from balances.api.documentation import (
    ADDRESS_PARAMETER,
    INCLUDE_PARAMETER,
    TOKEN_PARAMETER,
    TOKEN_PATH_PARAMETER,
    list_parameters,
    parameter_names,
)
from balances.api.pages import answer
from balances.api.parameters import read_parameters

_BALANCES = list_parameters(ADDRESS_PARAMETER, INCLUDE_PARAMETER)
_HOLDERS = list_parameters(TOKEN_PATH_PARAMETER, ADDRESS_PARAMETER, INCLUDE_PARAMETER)
_HISTORY = list_parameters(ADDRESS_PARAMETER, TOKEN_PARAMETER)

_TOKEN_ROW = {"tokenPath": serializers.EXAMPLE_PATH, "amount": 1000000}
_DOUBTS: dict[str, Any] = {"flags": []}
_NAMES = {"name": "Foo", "symbol": "FOO", "decimals": 4}


class TokenBalancesViewSet(ViewSet):
    """Every token with the sum over all accounts; with an address, what that account holds of each."""

    @extend_schema(
        operation_id="listTokenBalances",
        tags=["tokens"],
        parameters=_BALANCES,
        responses=documentation.list_responses(serializers.TokenBalances, "balances", _TOKEN_ROW | _NAMES | _DOUBTS),
    )
    def list(self, request: Request) -> HttpResponseBase:
        asked = read_parameters(
            request.query_params,
            route="balances",
            allowed=parameter_names(_BALANCES),
            shapes=(cursors.PATH, cursors.PATH),
        )
        return answer(request, asked, "balances", tokens.sums if asked.address is None else accounts.held_tokens)


class TokenHoldersViewSet(ViewSet):
    """Every holder of a token, largest first; with an address, what that account holds of it."""

    @extend_schema(
        operation_id="listHolders",
        tags=["tokens"],
        parameters=_HOLDERS,
        responses=documentation.list_responses(
            serializers.AccountBalances,
            "accountBalances",
            {"address": serializers.EXAMPLE_ADDRESS} | _TOKEN_ROW | _DOUBTS,
        ),
    )
    def list(self, request: Request, tokenPath: str) -> HttpResponseBase:
        asked = read_parameters(
            request.query_params,
            route="holders",
            allowed=parameter_names(_HOLDERS),
            shapes=(cursors.HOLDER, cursors.PATH),
            token=tokenPath,
        )
        read = holders.holders if asked.address is None else accounts.held_of_token
        return answer(request, asked, "accountBalances", read)


class TransferHistoryViewSet(ViewSet):
    """All transfers, newest first; with an address, those from or to it; with a token, those of that token."""

    @extend_schema(
        operation_id="listTransfers",
        tags=["tokens"],
        parameters=_HISTORY,
        responses=documentation.list_responses(
            serializers.Transfers,
            "transfers",
            {
                "fromAddress": "",
                "toAddress": serializers.EXAMPLE_ADDRESS,
                **_TOKEN_ROW,
                "type": "mint",
                "blockHeight": 485,
                "blockTime": "2026-08-07T12:00:00.000000Z",
                "txHash": "xs2xLbtTnGSMbIxfzO6c7vhXLgFgzuJ7VJrmtAdRuwc=",
                "txIndex": 0,
                "eventIndex": 1,
            },
        ),
    )
    def list(self, request: Request) -> HttpResponseBase:
        asked = read_parameters(
            request.query_params,
            route="transfers",
            allowed=parameter_names(_HISTORY),
            shapes=(cursors.EVENT, cursors.EVENT),
        )
        return answer(request, asked, "transfers", history.transfers)


class HealthViewSet(ViewSet):
    """Liveness: the process answers. It asks neither the database nor anything else."""

    @extend_schema(operation_id="health", tags=["service"], responses={200: serializers.Health})
    def list(self, request: Request) -> Response:
        return Response({"status": "ok", "version": settings.SPECTACULAR_SETTINGS["VERSION"]})


class IndexViewSet(ViewSet):
    """GRC20 balances and transfers of one gno.land chain. Every answer says up to which height it is true."""

    @extend_schema(exclude=True)
    def list(self, request: Request) -> Response:
        routes = ("tokens/balances", "tokens/transfer-history", "health", "schema", "docs", "admin/")
        links = {name.rstrip("/"): request.build_absolute_uri(f"/{name}") for name in routes}
        # A path with braces is a pattern, not a link.
        links["holders"] = request.build_absolute_uri("/") + "tokens/{tokenPath}/balances"
        return Response(links)
