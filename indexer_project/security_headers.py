"""Middleware: the Content-Security-Policy, so that a page runs and loads only what this server serves."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

PAGES = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Swagger UI and the browsable API style what they show by attributes.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""For the documentation, the browsable API and the admin."""
REST = "default-src 'none'; frame-ancestors 'none'"
"""For what is no page: should a browser take it for one, it does nothing."""


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django's middleware of this module."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        response.headers.setdefault("Content-Security-Policy", PAGES if is_page else REST)
        return response

    return middleware
