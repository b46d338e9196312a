"""What gives reason to doubt a token: short words shown beside it in the API and the admin."""

from decimal import Decimal
from typing import Protocol

FLAGS = {
    "duplicate id": "More than one NewToken for this id: several ledgers may share it.",
    "ephemeral": "Made by a script (gno.land/e/…); it was gone when the script ended.",
    "not standard": "Its realm speaks for itself; the chain's GRC20 library has not stamped its events.",
    "supply over 64 bits": "Minted less burned is more than its ledger can hold: the chain's own sum has wrapped.",
}

MAX_INT64 = 2**63 - 1
MAX_UINT64 = 2**64 - 1


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


def flags(token: Doubted, supply: int | Decimal) -> list[str]:
    """The keys of `FLAGS` that hold for `token`, sorted; `supply` is minted less burned, in raw units."""
    found = []
    if token.announcements > 1:
        found.append("duplicate id")
    if token.realm.split("/")[1:2] == ["e"]:
        found.append("ephemeral")
    if not token.standard:
        found.append("not standard")
    # The library counts in int64. Realm-stamped tokens (key and path are one) are of the years of uint64.
    if supply > (MAX_UINT64 if token.key == token.path else MAX_INT64):
        found.append("supply over 64 bits")
    return found
