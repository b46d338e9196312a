"""Middleware: the Content-Security-Policy header, so that a page runs and loads only what this server serves."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Swagger UI and the browsable API use style attributes.
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
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""For other responses: a browser that renders one as a page loads and runs nothing."""


def content_security_policy(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Set the policy of each response that has none."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else API_POLICY)
        return response

    return middleware
