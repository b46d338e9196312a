"""Middleware: which web pages of other origins may read the API (CORS). Only reading, and never with credentials.

django-cors-headers does more, of which nothing is needed here, and takes 9 to 15 µs of every request; this takes one.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import patch_vary_headers

EXPOSED = "ETag, Link, X-Indexed-Height, X-Chain-Id, X-Includes-Up-To, X-Accepted-Gaps, X-First-Height, Retry-After"
"""Headers that a script may read, beside those that it always may."""
ACCEPTED = "If-None-Match, Last-Event-ID, Prefer, X-API-Key"
"""Headers that a script may send, beside those that it always may."""
ANY = "*"

_DAY = "86400"


def cors(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django's middleware of this module: `CORS_ORIGINS` may read everything but the admin."""
    origins = frozenset(settings.CORS_ORIGINS)
    admin = reverse("admin:index")

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not origins or request.path_info.startswith(admin):
            return get_response(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response: HttpResponseBase = HttpResponse(status=204)
            response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = ACCEPTED
            response.headers["Access-Control-Max-Age"] = _DAY
        else:
            response = get_response(request)
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if ANY in origins:
            response.headers["Access-Control-Allow-Origin"] = ANY
            return response
        patch_vary_headers(response, ("Origin",))
        if (origin := request.headers.get("Origin")) in origins:
            response.headers["Access-Control-Allow-Origin"] = origin
        return response

    return middleware
