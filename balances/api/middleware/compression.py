"""Middleware: answers of the API by gzip, for clients that accept it.

Django's own compresses pages as well, where what a person types beside a CSRF token would give the token away (BREACH),
pads every answer against that, and compresses six times as hard. Answers of the API hold no secret; level 1 makes a
quarter of them in a few dozen microseconds, and the higher levels hardly less in up to five times as long.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from typing import cast

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers

COMPRESSED = frozenset(
    {
        "application/json",
        "application/problem+json",
        "application/x-ndjson",
        "application/vnd.oai.openapi",
        "application/vnd.oai.openapi+json",
        "text/csv",
    }
)
"""Types of the API's answers. Not pages, and not `text/event-stream`, of which each event is sent at once."""
LEAST_BYTES = 1024
"""Shorter answers fit into a packet or two as they are."""

_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
_ACCEPTED = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.ASCII | re.IGNORECASE)


def compressed(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Django's middleware of this module."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.get("Content-Type", "").partition(";")[0] not in COMPRESSED:
            if response.status_code == 304:  # says what the whole answer would say
                patch_vary_headers(response, ("Accept-Encoding",))
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        if response.has_header("Content-Encoding") or not accepts(request.headers.get("Accept-Encoding", "")):
            return response
        if response.streaming:
            _compress_stream(cast(StreamingHttpResponse, response))
        else:
            _compress(cast(HttpResponse, response))
        return response

    return middleware


def accepts(header: str) -> bool:
    """Whether an `Accept-Encoding` takes gzip."""
    return _ACCEPTED.search(header) is not None


def packed(content: bytes) -> bytes | None:
    """`content` by gzip; None when it is too short for that."""
    if len(content) < LEAST_BYTES:
        return None
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(content) + packer.flush()


def _compress(response: HttpResponse) -> None:
    content = packed(response.content)
    if content is None:
        return
    response.content = content
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Length"] = str(len(response.content))


def _compress_stream(response: StreamingHttpResponse) -> None:
    parts = cast(Iterator[bytes], response.streaming_content)

    def packed() -> Iterator[bytes]:
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        try:
            for part in parts:
                if some := packer.compress(part):
                    yield some
        except Exception:
            yield packer.flush(zlib.Z_SYNC_FLUSH)  # what was said last, and no end of the archive
            raise
        yield packer.flush()

    response.streaming_content = packed()
    response.headers["Content-Encoding"] = "gzip"
    del response.headers["Content-Length"]
