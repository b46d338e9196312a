"""CORS headers of the API and the event stream: read access for the origins of `CORS_ORIGINS`, without credentials.

django-cors-headers is not used: where every origin is allowed, it adds `Vary: origin` to each response all the same, so
that a shared cache keeps one copy for each web page, and leaves Access-Control-Allow-Origin out of responses to
requests without `Origin`. It takes 9 to 24 µs a request (here 3 to 8) and needs a Django request, which the ASGI event
stream has not.
"""

from collections.abc import Callable, Collection, Mapping

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers

METHODS = "GET, HEAD, OPTIONS"
EXPOSED = "ETag, Link, X-Indexed-Height, X-Chain-Id, X-Includes-Up-To, X-Accepted-Gaps, X-First-Height, Retry-After"
"""Response headers that scripts may read, besides the safelisted ones."""
ACCEPTED = ", ".join(
    (
        # Set by browsers, their caches and HTTP client libraries.
        "Accept", "Accept-Language", "Authorization", "Cache-Control", "Content-Type", "DNT", "If-Match",
        "If-Modified-Since", "If-None-Match", "If-Unmodified-Since", "Origin", "Pragma", "Priority", "Range",
        "Save-Data", "User-Agent", "X-Requested-With",
        # Read by this API. Polyfills of EventSource send Cache-Control and Last-Event-ID.
        "Last-Event-ID", "Prefer", "X-API-Key",
        # Added to every request of a page by tracing.
        "Baggage", "Sentry-Trace", "Traceparent", "Tracestate", "X-Request-ID",
    )
)  # fmt: skip
"""Request headers that scripts may send. Those that the API does not read are ignored."""
ANY = "*"

_DAY = "86400"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": ACCEPTED,
    "Access-Control-Max-Age": _DAY,
}


def is_preflight(method: str | None, headers: Mapping[str, str]) -> bool:
    """Whether the request is a CORS preflight."""
    return method == "OPTIONS" and "Access-Control-Request-Method" in headers


def cors_headers(origins: Collection[str], headers: Mapping[str, str], *, preflight: bool) -> dict[str, str]:
    """Return the CORS headers of a response, with `Vary` where they depend on the origin.

    `origins`: allowed origins, `*` for all; empty: no headers. `headers`: those of the request.
    """
    if not origins:
        return {}
    response_headers = dict(_PREFLIGHT) if preflight else {"Access-Control-Expose-Headers": EXPOSED}
    if ANY in origins:
        allowed: str | None = ANY
    else:
        response_headers["Vary"] = "Origin"
        allowed = headers.get("Origin") if headers.get("Origin") in origins else None
    if allowed is not None:
        response_headers["Access-Control-Allow-Origin"] = allowed
        # Private Network Access: a public page reads an API in the private network of its user.
        if preflight and headers.get("Access-Control-Request-Private-Network") == "true":
            response_headers["Access-Control-Allow-Private-Network"] = "true"
    return response_headers


def cors(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Allow `CORS_ORIGINS` to read everything but the admin."""
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
