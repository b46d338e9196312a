"""What gives reason to doubt a token: short words shown beside it in the API and the admin."""

from decimal import Decimal
from typing import Protocol

FLAGS = {
    "duplicate id": "More than one NewToken for this id: several ledgers may share it.",
    "ephemeral": "Made by a script (gno.land/e/…); it was gone when the script ended.",
    "not standard": "Its realm speaks for itself, unstamped by the chain's GRC20 library; or a script made it.",
    "supply over 64 bits": "Minted less burned is more than its ledger can hold: the chain's own sum has wrapped.",
}

MAX_INT64 = 2**63 - 1
MAX_UINT64 = 2**64 - 1

_LAST = "~"
"""No host name begins with it; letters and digits come before it."""


class Doubted(Protocol):
    """A token, as far as doubts go."""

    @property
    def path(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def realm(self) -> str: ...
    @property
    def standard(self) -> bool: ...
    @property
    def announcements(self) -> int: ...


def is_ephemeral(path: str) -> bool:
    """Whether a token is of a script (gno.land/e/…), which anybody makes for nothing: never standard, listed last."""
    return path.split("/", 2)[1:2] == ["e"]


def listing_key(path: str) -> str:
    """What lists of all tokens are ordered by, as the column of this name is made: the path, of scripts after all."""
    return f"{_LAST}{path}" if is_ephemeral(path) else path


def path_listed(key: str) -> str:
    """The path in a `listing_key`."""
    return key.removeprefix(_LAST)


def flags(token: Doubted, supply: int | Decimal) -> list[str]:
    """The keys of `FLAGS` that hold for `token`, sorted; `supply` is minted less burned, in raw units."""
    found = []
    if token.announcements > 1:
        found.append("duplicate id")
    if is_ephemeral(token.path):
        found.append("ephemeral")
    if not token.standard:
        found.append("not standard")
    # The library counts in int64. Realm-stamped tokens (key and path are one) are of the years of uint64.
    if supply > (MAX_UINT64 if token.key == token.path else MAX_INT64):
        found.append("supply over 64 bits")
    return found
