"""Which web pages of other origins may read the API and the stream (CORS). Only reading, and never with credentials.

django-cors-headers does more, of which nothing is needed here, and takes 9 to 15 µs of every request; this takes one.
"""

from collections.abc import Callable, Collection, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers

METHODS = "GET, HEAD, OPTIONS"
EXPOSED = "ETag, Link, X-Indexed-Height, X-Chain-Id, X-Includes-Up-To, X-Accepted-Gaps, X-First-Height, Retry-After"
"""Headers that a script may read, beside those that it always may."""
ACCEPTED = ", ".join(
    (
        # What browsers themselves, their caches and libraries for requests add.
        "Accept", "Accept-Language", "Authorization", "Cache-Control", "Content-Type", "DNT", "If-Match",
        "If-Modified-Since", "If-None-Match", "If-Unmodified-Since", "Origin", "Pragma", "Priority", "Range",
        "Save-Data", "User-Agent", "X-Requested-With",
        # What this API reads; polyfills of EventSource send Cache-Control and Last-Event-ID.
        "Last-Event-ID", "Prefer", "X-API-Key",
        # What tracing adds to every request of a page.
        "Baggage", "Sentry-Trace", "Traceparent", "Tracestate", "X-Request-ID",
    )
)  # fmt: skip
"""Headers that a script may send. What is not read is ignored."""
ANY = "*"

_DAY = "86400"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": ACCEPTED,
    "Access-Control-Max-Age": _DAY,
}


def is_preflight(method: str | None, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what a page may send, before it sends it."""
    return method == "OPTIONS" and "Access-Control-Request-Method" in headers


def cors_headers(origins: Collection[str], headers: Mapping[str, str], *, preflight: bool) -> dict[str, str]:
    """The CORS headers of the response to a request with these headers; `Vary` among them where it depends on them."""
    if not origins:
        return {}
    given = dict(_PREFLIGHT) if preflight else {"Access-Control-Expose-Headers": EXPOSED}
    if ANY in origins:
        allowed: str | None = ANY
    else:
        given["Vary"] = "Origin"
        allowed = headers.get("Origin") if headers.get("Origin") in origins else None
    if allowed is not None:
        given["Access-Control-Allow-Origin"] = allowed
        # A page of the internet that reads an API in its user's own network, which a browser asks for by itself.
        if preflight and headers.get("Access-Control-Request-Private-Network") == "true":
            given["Access-Control-Allow-Private-Network"] = "true"
    return given


def cors(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django's middleware of this module: `CORS_ORIGINS` may read everything but the admin."""
    origins = frozenset(settings.CORS_ORIGINS)
    admin = reverse("admin:index")

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not origins or request.path_info.startswith(admin):
            return get_response(request)
        preflight = is_preflight(request.method, request.headers)
        response: HttpResponseBase = HttpResponse(status=204) if preflight else get_response(request)
        for name, value in cors_headers(origins, request.headers, preflight=preflight).items():
            if name == "Vary":
                patch_vary_headers(response, (value,))
            else:
                response.headers[name] = value
        return response

    return middleware
