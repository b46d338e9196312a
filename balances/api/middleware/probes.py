"""Middleware: /health and /ready answer whatever Host says, for probes ask by the address of a machine or a pod."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase

INSTEAD = "localhost"
"""The host that is taken for one that is not allowed, where Django wants one."""
PROBES = frozenset({"/health", "/ready"})


def probes(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django's middleware of this module. No other route is answered for a host that is not allowed."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.removesuffix("/") in PROBES:
            try:
                request.get_host()
            except DisallowedHost:
                request.get_host = lambda: INSTEAD  # type: ignore[method-assign]  # of this request alone
        return get_response(request)

    return middleware
