"""Middleware: the path prefix of every URL, for an API that is served under a path of a shared host.

The prefix is stored in SCRIPT_NAME, from which Django builds every URL, and is removed from the path where the proxy
has not done so.
"""

import re
from collections.abc import Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import get_path_info
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, set_script_prefix
from django.utils.cache import patch_vary_headers

HEADER = "X-Forwarded-Prefix"
FORWARDED = "balances.forwarded_prefix"
"""Key in the WSGI environment for the prefix that a header gave; "" for none."""
MAX_CHARACTERS = 200
ROUTES = frozenset(
    {
        *("accounts", "admin", "blocks", "docs", "events", "health", "ready", "schema", "static", "status"),
        *("tokens", "transactions"),
    }
)
"""First segments of the project's routes. A prefix that begins with one is ambiguous and never removed from a path."""

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+", re.ASCII)


def is_prefix(text: str) -> bool:
    """Whether `text` is a valid prefix: /segment, or several; no `.` or `..` segments, nothing percent-encoded."""
    return len(text) <= MAX_CHARACTERS and _PREFIX.fullmatch(text) is not None


def apply_prefix(meta: MutableMapping[str, Any]) -> str:
    """Set SCRIPT_NAME in `meta` (the WSGI environment) to the prefix, once, and return it; "" for none.

    The prefix is `PATH_PREFIX`, or the `X-Forwarded-Prefix` of a trusted proxy, or the SCRIPT_NAME of the server. Of
    several header values the last counts, which is the nearest proxy's. Invalid values are ignored.
    """
    if FORWARDED not in meta:
        meta[FORWARDED] = "" if settings.PATH_PREFIX or not settings.TRUSTED_PROXIES else _forwarded(meta)
        if prefix := settings.PATH_PREFIX or meta[FORWARDED]:
            meta["SCRIPT_NAME"] = prefix
            path: str = meta["PATH_INFO"]
            if f"{path}/".startswith(f"{prefix}/") and prefix.split("/")[1] not in ROUTES:
                meta["PATH_INFO"] = path[len(prefix) :]
    script_name: str = meta.get("SCRIPT_NAME") or ""
    return script_name


def path_prefix(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Prefix URLs, and limit cookies to the prefix instead of the whole host."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        prefix = apply_prefix(request.META)
        if not prefix:
            return get_response(request)
        request.path_info = get_path_info(request.META) or "/"
        request.path = f"{prefix}{request.path_info}"
        before = get_script_prefix()
        set_script_prefix(f"{prefix}/")
        try:
            response = get_response(request)
        finally:
            set_script_prefix(before)
        for cookie in response.cookies.values():
            if cookie["path"] == "/":
                cookie["path"] = prefix
        if request.META[FORWARDED]:
            patch_vary_headers(response, (HEADER,))
        return response

    return middleware


def _forwarded(meta: MutableMapping[str, Any]) -> str:
    text: str = meta.get("HTTP_X_FORWARDED_PREFIX", "").rpartition(",")[2].strip().rstrip("/")
    return text if is_prefix(text) else ""
