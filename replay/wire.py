"""Bytes of the wire: how an answer becomes a body, strange strings included."""

from __future__ import annotations

import codecs
import json
from typing import Any

_RAW_BYTES = range(0xDC80, 0xDD00)


def _surrogates(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    parts = []
    for character in error.object[error.start : error.end]:
        code = ord(character)
        # JSON text holds no surrogate outside a string, so an escape of JSON is always right here.
        parts.append(bytes([code - 0xDC00]) if code in _RAW_BYTES else b"\\u%04x" % code)
    return b"".join(parts), error.end


codecs.register_error("replay.surrogates", _surrogates)


def encode(answer: Any) -> bytes:
    """JSON as a tx-indexer writes it: compact, UTF-8, keys in the order given.

    A lone surrogate is written as its escape (``\\ud800``), but U+DC80 to U+DCFF as the raw byte they stand for
    (``surrogateescape``), which makes a body that is not UTF-8.
    """
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replay.surrogates")


def encode_frame(answer: Any) -> str:
    """The same for a text frame of a websocket, which must be UTF-8: raw bytes become U+FFFD."""
    return encode(answer).decode("utf-8", "replace")
