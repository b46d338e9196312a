"""GRC20 events: what one event of a successful transaction says, if it is believed. Pure functions.

Two formats carry a token. Library-stamped: the emitter is a trusted library and the attribute `token` names the token.
Realm-stamped: a realm emits exactly `from`, `to`, `value` about itself, and the realm's path is the token. Mint and
burn follow from which side is empty, never from what the event calls itself (`docs/events.md`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from events.parsing.profiles import Profile
from postgres.text import is_storable

REASONS = {
    "foreign_emitter": "It names a token, and comes from a package that has no say in it.",
    "no_realm": "It comes from a script or a library, not from a realm, so there is no token it could be about.",
    "no_token": "A trusted library emitted it without the attribute that names the token (chains of mid-2025).",
    "malformed_token": "The token's id is not a realm path and a symbol, is too long, or cannot be stored.",
    "not_fungible": "It moves a tokenId, not an amount.",
    "unknown_type": "It has the attributes of a transfer under another type.",
    "allowance": "An Approval: it changes an allowance and moves no balance.",
    "duplicate_attribute": "An attribute occurs more than once.",
    "missing_attribute": "An attribute that the format has is not there.",
    "unexpected_attribute": "There is an attribute that the format does not have.",
    "malformed_amount": "The value is not a plain decimal number.",
    "amount_out_of_range": "The value does not fit the chain's 64 bits.",
    "both_ends_empty": "It comes from nobody and goes to nobody.",
    "malformed_address": "A side is longer than any ledger key, or cannot be stored.",
    "malformed_metadata": "A NewToken whose name, symbol or decimals are not what the library allows.",
}

MAX_TOKEN_BYTES = 512
MAX_ADDRESS_BYTES = 256
MAX_NAME_BYTES = 256  # the library itself allows 64 bytes of name and 11 of symbol
MAX_INT64 = 2**63 - 1

_TOKEN_TYPES = frozenset({"transfer", "mint", "burn", "newtoken", "approval"})
_MOVEMENT_KEYS = frozenset({"from", "to", "value"})
_LIBRARY_KEYS = _MOVEMENT_KEYS | {"token"}
_NEW_TOKEN_KEYS = frozenset({"token", "name", "symbol", "decimals"})
_AMOUNT = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)
_DECIMALS = re.compile(r"[0-9]|1[0-8]", re.ASCII)
_REALM = re.compile(r"[^/\s]+/r/\S+")
# realm.SYMBOL.seqid (since July 2026); seqid is cford32: lower-case Crockford, 7 or 13 characters.
_TOKEN_WITH_SEQUENCE = re.compile(
    r"(?P<realm>[^/\s]+/[re]/\S+)\.(?P<symbol>[A-Za-z0-9_-]{1,11})\.(?:[0-9a-hjkmnp-tv-z]{7}|[0-9a-hjkmnp-tv-z]{13})"
)
# realm.SYMBOL (July 2025 to July 2026); realm paths have no dot, symbols were not checked and may hold anything.
_TOKEN_WITH_SYMBOL = re.compile(r"(?P<realm>[^/\s]+/[re]/[^.\s]+)\.(?P<symbol>.+)", re.DOTALL)


class Attribute(msgspec.Struct):
    key: str
    value: str


class Event(msgspec.Struct):
    """One member of `response.events`, of any kind; what only other kinds have is not read."""

    kind: str = msgspec.field(name="__typename", default="")
    type: str | None = None
    pkg_path: str | None = None
    attrs: list[Attribute] | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """A believable transfer; `sender` is "" for a mint and `recipient` "" for a burn. Raw units."""

    token: str
    sender: str
    recipient: str
    amount: int
    standard: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    token: str
    name: str
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event that looks like a token event moves nothing; `reason` is a key of `REASONS`."""

    reason: str
    detail: str


def classify(event: Event, profile: Profile) -> Movement | NewToken | Refusal | None:
    """What `event` says on a chain with `profile`; None when it does not look like a token event.

    The transaction's success is the caller's to check.
    """
    if event.kind != "GnoEvent":
        return None
    attributes = event.attrs or []
    keys = {attribute.key for attribute in attributes}
    emitter, kind = event.pkg_path or "", event.type or ""
    if emitter in profile.libraries:
        return _library_stamped(kind, attributes, keys, emitter)
    if kind.lower() in _TOKEN_TYPES or keys >= _MOVEMENT_KEYS:
        return _realm_stamped(kind, attributes, keys, emitter, profile)
    return None


def split_token(token: str) -> tuple[str, str] | None:
    """(realm, symbol) of a library token's id; None when it has no such form."""
    found = _TOKEN_WITH_SEQUENCE.fullmatch(token) or _TOKEN_WITH_SYMBOL.fullmatch(token)
    return (found["realm"], found["symbol"]) if found else None


def realm_and_key(token: str) -> tuple[str, str]:
    """The realm of a token and its key (realm.SYMBOL); a realm-stamped token is both by itself."""
    split = split_token(token)
    return (split[0], f"{split[0]}.{split[1]}") if split else (token, token)


def _library_stamped(
    kind: str, attributes: Sequence[Attribute], keys: set[str], emitter: str
) -> Movement | NewToken | Refusal:
    if kind == "Approval":
        return Refusal("allowance", "Approval")
    if kind not in ("Transfer", "NewToken"):
        return Refusal("unknown_type", f"type {kind!r} from {emitter}")
    if "token" not in keys:
        return Refusal("no_token", f"{kind} from {emitter} has no attribute 'token'")
    wrong = _wrong_keys(attributes, keys, _LIBRARY_KEYS if kind == "Transfer" else _NEW_TOKEN_KEYS)
    if wrong:
        return wrong
    values = {attribute.key: attribute.value for attribute in attributes}
    token = values["token"]
    if not _fits(token, MAX_TOKEN_BYTES) or split_token(token) is None:
        return Refusal("malformed_token", f"token {token!r:.80}")
    if kind == "NewToken":
        return _new_token(token, values)
    return _movement(token, values, standard=True, unsigned=False)


def _realm_stamped(
    kind: str, attributes: Sequence[Attribute], keys: set[str], emitter: str, profile: Profile
) -> Movement | Refusal:
    if "tokenId" in keys:
        return Refusal("not_fungible", "attribute 'tokenId'")
    if "token" in keys:
        return Refusal("foreign_emitter", f"{emitter or 'a script'} is not a trusted library")
    if kind == "Approval":
        return Refusal("allowance", "Approval")
    if not _REALM.fullmatch(emitter):
        return Refusal("no_realm", f"emitter {emitter!r}")
    if kind not in ("Transfer", "Mint", "Burn"):
        return Refusal("unknown_type", f"type {kind!r:.80}")
    wrong = _wrong_keys(attributes, keys, _MOVEMENT_KEYS)
    if wrong:
        return wrong
    if not _fits(emitter, MAX_TOKEN_BYTES):
        return Refusal("malformed_token", f"emitter {emitter!r:.80}")
    values = {attribute.key: attribute.value for attribute in attributes}
    return _movement(emitter, values, standard=not profile.libraries, unsigned=profile.unsigned)


def _wrong_keys(attributes: Sequence[Attribute], keys: set[str], expected: frozenset[str]) -> Refusal | None:
    if len(attributes) != len(keys):
        twice = next(a.key for i, a in enumerate(attributes) if a.key in {b.key for b in attributes[:i]})
        return Refusal("duplicate_attribute", f"attribute {twice!r:.80} more than once")
    if keys == expected:
        return None
    if missing := sorted(expected - keys):
        return Refusal("missing_attribute", f"no attribute {missing[0]!r}")
    return Refusal("unexpected_attribute", f"attribute {min(keys - expected)!r:.80}")


def _movement(token: str, values: dict[str, str], *, standard: bool, unsigned: bool) -> Movement | Refusal:
    sender, recipient = values["from"], values["to"]
    if not sender and not recipient:
        return Refusal("both_ends_empty", "from and to are empty")
    for side in (sender, recipient):
        if not _fits(side, MAX_ADDRESS_BYTES):
            return Refusal("malformed_address", f"address {side!r:.80}")
    amount = _amount(values["value"], unsigned=unsigned)
    if isinstance(amount, Refusal):
        return amount
    return Movement(token, sender, recipient, amount, standard)


def _amount(text: str, *, unsigned: bool) -> int | Refusal:
    # The ASCII pattern first: int() would take "1_000", " 5" and digits of other scripts.
    if _AMOUNT.fullmatch(text) and (amount := int(text)) <= MAX_INT64:
        return amount
    if not _NUMBER.fullmatch(text):
        return Refusal("malformed_amount", f"value {text!r:.80}")
    if text.startswith("-"):
        if not unsigned:
            return Refusal("malformed_amount", f"value {text!r:.80} is negative")
        if len(text) <= 20 and (amount := int(text)) >= -(2**63):
            return amount + 2**64
    return Refusal("amount_out_of_range", f"value {text!r:.80}")


def _new_token(token: str, values: dict[str, str]) -> NewToken | Refusal:
    name, symbol, decimals = values["name"], values["symbol"], values["decimals"]
    if not _DECIMALS.fullmatch(decimals):
        return Refusal("malformed_metadata", f"decimals {decimals!r:.80}")
    if not _fits(name, MAX_NAME_BYTES) or not _fits(symbol, MAX_NAME_BYTES):
        return Refusal("malformed_metadata", f"name {name!r:.80}, symbol {symbol!r:.80}")
    return NewToken(token, name, symbol, int(decimals))


def _fits(text: str, most: int) -> bool:
    return is_storable(text) and len(text.encode()) <= most
