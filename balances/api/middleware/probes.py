"""Middleware: /health and /ready accept any Host header, because probes use the address of a machine or pod."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase

INSTEAD = "localhost"
"""Host name that replaces one that is not allowed."""
PROBES = frozenset({"/health", "/ready"})


def probes(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Skip host validation for the probes alone."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.removesuffix("/") in PROBES:
            try:
                request.get_host()
            except DisallowedHost:
                request.get_host = lambda: INSTEAD  # type: ignore[method-assign]  # of this request alone
        return get_response(request)

    return middleware
