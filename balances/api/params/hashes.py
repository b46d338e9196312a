"""Hashes of transactions: SHA-256, in base64 as the chain writes it, in base64 for URLs, or in hexadecimal."""

import re
from base64 import b64decode, b64encode

from balances.queries.errors import BadParameter, shown

_HEXADECIMAL = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})", re.ASCII)
_BASE64 = re.compile(r"([A-Za-z0-9+/_-]{43})=?", re.ASCII)


def read_hash(text: str) -> str:
    """The hash as the chain writes it. Raises `BadParameter`."""
    if matched := _HEXADECIMAL.fullmatch(text):
        return b64encode(bytes.fromhex(matched[1])).decode()
    if matched := _BASE64.fullmatch(text):
        spelled = matched[1].replace("-", "+").replace("_", "/") + "="
        # The last character has two bits more than the hash, which are zero.
        if b64encode(b64decode(spelled)).decode() == spelled:
            return spelled
    raise BadParameter(
        "hash",
        f"{shown(text)} is not a transaction's hash",
        "SHA-256 in base64, plain or for URLs, or in hexadecimal: 43 or 44 characters, or 64",
    )
