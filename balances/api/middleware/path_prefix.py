"""A path that stands before every URL: of an API that is served under a part of another host.

Where a proxy takes the prefix off, nothing of the request would tell it, and links would lead past it. So it is put
where WSGI has a place for it, SCRIPT_NAME, of which Django makes every URL; and it is taken off the path where the
proxy left it on.
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
"""Where WSGI's environment has the prefix that a header gave; "" when none did."""
MAX_CHARACTERS = 200
ROUTES = frozenset(
    {
        *("accounts", "admin", "blocks", "docs", "events", "health", "ready", "schema", "static", "status"),
        *("tokens", "transactions"),
    }
)
"""What paths of this API begin with: a prefix that begins so too cannot be told from them, and is never taken off."""

_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+", re.ASCII)


def is_prefix(text: str) -> bool:
    """Whether `text` is a path that may stand before others: /segment, or several; no dots alone, nothing encoded."""
    return len(text) <= MAX_CHARACTERS and _PREFIX.fullmatch(text) is not None


def place(meta: MutableMapping[str, Any]) -> str:
    """Put the prefix of `meta` (WSGI's environment) into SCRIPT_NAME, once, and return it; "" when there is none.

    It is `PATH_PREFIX`, or what a proxy of one's own says in `X-Forwarded-Prefix`, or what the server was told. Of
    several headers the last one counts, which is the nearest proxy's. What is no prefix is ignored.
    """
    if FORWARDED not in meta:
        meta[FORWARDED] = "" if settings.PATH_PREFIX or not settings.TRUSTED_PROXIES else _forwarded(meta)
        if prefix := settings.PATH_PREFIX or meta[FORWARDED]:
            meta["SCRIPT_NAME"] = prefix
            path: str = meta["PATH_INFO"]
            if f"{path}/".startswith(f"{prefix}/") and prefix.split("/")[1] not in ROUTES:
                meta["PATH_INFO"] = path[len(prefix) :]
    given: str = meta.get("SCRIPT_NAME") or ""
    return given


def path_prefix(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: URLs begin with the prefix, and cookies are for what lies under it, not for its whole host."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        prefix = place(request.META)
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
