"""Routes of the HTTP API. Trailing slashes are optional everywhere."""

from typing import Any

from django.urls import re_path
from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from balances.api.views import accounts, chain, events, history, root, service, tokens

_SHORTLY = cache_control(public=True, max_age=300)
"""What changes with a release only may be kept for five minutes."""
LIST: dict[str, Any] = {"get": "list"}
_OF_TOKEN = r"tokens/(?P<tokenPath>(?s:.*?))"  # noqa: S105  # no password
_OF_ACCOUNT = r"accounts/(?P<address>[^/]*)"

urlpatterns = [
    re_path(r"^$", root.IndexViewSet.as_view(LIST, name="gno.land token indexer"), name="index"),
    re_path(r"^tokens/?$", tokens.TokensViewSet.as_view(LIST, name="Tokens"), name="tokens"),
    re_path(
        r"^tokens/balances/?$",
        tokens.TokenBalancesViewSet.as_view(LIST, name="Token balances"),
        name="token-balances",
    ),
    re_path(
        r"^tokens/transfer-history/?$",
        tokens.TransferHistoryViewSet.as_view(LIST, name="Transfer history"),
        name="transfer-history",
    ),
    # A token path has slashes, and hostile ones may have line breaks: whatever is there is read, then checked.
    re_path(
        rf"^{_OF_TOKEN}/balances/?$",
        tokens.TokenHoldersViewSet.as_view(LIST, name="Holders of a token"),
        name="holders",
    ),
    re_path(
        rf"^{_OF_TOKEN}/holders/?$",
        tokens.TokenSharesViewSet.as_view(LIST, name="Shares of a token"),
        name="shares",
    ),
    re_path(
        rf"^{_OF_TOKEN}/transfers/?$",
        tokens.TokenTransfersViewSet.as_view(LIST, name="Transfers of a token"),
        name="token-transfers",
    ),
    re_path(rf"^{_OF_TOKEN}/?$", tokens.TokenViewSet.as_view(LIST, name="Token"), name="token"),
    re_path(rf"^{_OF_ACCOUNT}/?$", accounts.AccountViewSet.as_view(LIST, name="Account"), name="account"),
    re_path(
        rf"^{_OF_ACCOUNT}/balances/?$",
        accounts.AccountBalancesViewSet.as_view(LIST, name="Balances of an account"),
        name="account-balances",
    ),
    re_path(
        rf"^{_OF_ACCOUNT}/transfers/?$",
        accounts.AccountTransfersViewSet.as_view(LIST, name="Transfers of an account"),
        name="account-transfers",
    ),
    re_path(
        rf"^{_OF_ACCOUNT}/{_OF_TOKEN}/series/?$",
        history.SeriesViewSet.as_view(LIST, name="Series of a balance"),
        name="series",
    ),
    re_path(
        rf"^{_OF_ACCOUNT}/{_OF_TOKEN}/statement/?$",
        history.StatementViewSet.as_view(LIST, name="Statement of a balance"),
        name="statement",
    ),
    # A hash may have slashes too.
    re_path(
        r"^transactions/(?P<hash>(?s:.*?))/?$",
        chain.TransactionViewSet.as_view(LIST, name="Transactions of a hash"),
        name="transaction",
    ),
    re_path(r"^blocks/(?P<height>[^/]*)/?$", chain.BlockViewSet.as_view(LIST, name="Block"), name="block"),
    re_path(
        r"^events/refused/?$",
        chain.RefusedEventsViewSet.as_view(LIST, name="Refused events"),
        name="refused-events",
    ),
    re_path(r"^events/stream/?$", events.EventStreamViewSet.as_view(LIST, name="Event stream"), name="stream"),
    re_path(r"^status/?$", service.StatusViewSet.as_view(LIST, name="Status"), name="status"),
    re_path(r"^ready/?$", service.ReadyViewSet.as_view(LIST, name="Ready"), name="ready"),
    re_path(r"^health/?$", service.HealthViewSet.as_view(LIST, name="Health"), name="health"),
    re_path(r"^schema/?$", _SHORTLY(SpectacularAPIView.as_view()), name="schema"),
    # Its script is a file of its own, so that a content security policy need not allow inline scripts.
    re_path(r"^docs/?$", _SHORTLY(SpectacularSwaggerSplitView.as_view(url_name="schema")), name="docs"),
]
