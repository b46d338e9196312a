"""Is this an address? Bech32 (BIP-173) with a payload of 20 bytes, whatever its human-readable part.

Only a check: an address is a ledger key to the letter, so it is never changed to lower case (`G1…` and `g1…` are
different accounts).
"""

PAYLOAD_BYTES = 20

_ALPHABET = {character: value for value, character in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARACTERS = 6
_MOST_CHARACTERS = 90


def is_address(text: str) -> bool:
    """True for a bech32 string of 20 bytes: valid checksum, and all of its letters of one case."""
    if len(text) > _MOST_CHARACTERS or not all("!" <= character <= "~" for character in text):
        return False
    if text not in (text.lower(), text.upper()):
        return False
    prefix, separator, data = text.lower().rpartition("1")
    if not prefix or not separator or any(character not in _ALPHABET for character in data):
        return False
    values = [_ALPHABET[character] for character in data]
    if len(values) < _CHECKSUM_CHARACTERS or _polymod(_expanded(prefix) + values) != 1:
        return False
    return _holds_payload(values[:-_CHECKSUM_CHARACTERS])


def _holds_payload(values: list[int]) -> bool:
    # Groups of five bits must make whole bytes: less than one group of padding, all zero.
    padding = 5 * len(values) - 8 * PAYLOAD_BYTES
    return 0 <= padding < 5 and (not padding or values[-1] & ((1 << padding) - 1) == 0)


def _expanded(prefix: str) -> list[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                checksum ^= generator
    return checksum
