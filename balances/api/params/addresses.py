"""Is this an address? Bech32 (BIP-173) with a payload of 20 bytes, whatever its human-readable part.

Only a check: an address is a ledger key to the letter, so it is never changed to lower case (`G1…` and `g1…` are
different accounts).
"""

import re
from functools import lru_cache, reduce
from operator import xor

PAYLOAD_BYTES = 20

_ALPHABET = {character: value for value, character in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
# The sum of the generators for each of the values that five bits can have.
_GENERATED = [reduce(xor, (_GENERATOR[bit] for bit in range(5) if top >> bit & 1), 0) for top in range(32)]
_CHECKSUM_CHARACTERS = 6
_VISIBLE = re.compile(r"[!-~]{,90}", re.ASCII)


def is_address(text: str) -> bool:
    """True for a bech32 string of 20 bytes: valid checksum, and all of its letters of one case."""
    if not _VISIBLE.fullmatch(text) or text not in (text.lower(), text.upper()):
        return False
    prefix, separator, data = text.lower().rpartition("1")
    values = [_ALPHABET.get(character, -1) for character in data]
    if not prefix or not separator or -1 in values:
        return False
    if len(values) < _CHECKSUM_CHARACTERS or _polymod(values, _begun(prefix)) != 1:
        return False
    return _holds_payload(values[:-_CHECKSUM_CHARACTERS])


def _holds_payload(values: list[int]) -> bool:
    # Groups of five bits must make whole bytes: less than one group of padding, all zero.
    padding = 5 * len(values) - 8 * PAYLOAD_BYTES
    return 0 <= padding < 5 and (not padding or values[-1] & ((1 << padding) - 1) == 0)


@lru_cache(maxsize=16)
def _begun(prefix: str) -> int:
    expanded = [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]
    return _polymod(expanded, 1)


def _polymod(values: list[int], checksum: int) -> int:
    for value in values:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _GENERATED[checksum >> 25]
    return checksum
