"""Routes of the HTTP API. Trailing slashes are optional everywhere."""

from typing import Any

from django.urls import re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from balances.api import views

LIST: dict[str, Any] = {"get": "list"}

urlpatterns = [
    re_path(r"^$", views.IndexViewSet.as_view(LIST, name="gno.land token indexer"), name="index"),
    re_path(
        r"^tokens/balances/?$", views.TokenBalancesViewSet.as_view(LIST, name="Token balances"), name="token-balances"
    ),
    re_path(
        r"^tokens/transfer-history/?$",
        views.TransferHistoryViewSet.as_view(LIST, name="Transfer history"),
        name="transfer-history",
    ),
    # A token path has slashes, and hostile ones may have line breaks: whatever is there is read, then checked.
    re_path(
        r"^tokens/(?P<tokenPath>(?s:.*))/balances/?$",
        views.TokenHoldersViewSet.as_view(LIST, name="Holders of a token"),
        name="holders",
    ),
    re_path(r"^health/?$", views.HealthViewSet.as_view(LIST, name="Health"), name="health"),
    re_path(r"^schema/?$", SpectacularAPIView.as_view(), name="schema"),
    # Its script is a file of its own, so that a content security policy need not allow inline scripts.
    re_path(r"^docs/?$", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
]
