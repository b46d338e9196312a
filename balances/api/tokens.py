"""Tokens: which ones a spelling means, what is said beside them, and the sum of each over all accounts."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, F, Q, Value
from django.db.models.functions import Coalesce

from balances.api.pages import Page, page_of
from balances.api.parameters import Asked
from balances.api.refusals import BadParameter, shown
from balances.flags import flags
from balances.models import Token

_ZERO = Value(Decimal(0), output_field=DecimalField(max_digits=78, decimal_places=0))


@dataclass(frozen=True, slots=True)
class Resolved:
    """A token that a spelling means, with the flags shown beside it."""

    id: int
    path: str
    flags: list[str]


def supply(prefix: str = "") -> Coalesce:
    """Minted less burned, in raw units, of the token at the relation `prefix`; zero for one that never moved."""
    return Coalesce(F(f"{prefix}totals__minted") - F(f"{prefix}totals__burned"), _ZERO)


def described(token: Token, amount: Decimal) -> dict[str, Any]:
    """What an answer says of a token beside its path; `amount` is its supply."""
    return {
        "name": token.name,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "flags": flags(token, amount),
    }


def resolve(text: str) -> list[Resolved]:
    """The tokens that `text` means, by path: the one with this id, else those with this key, else those of this realm.

    A realm that is a token itself (the older format) means every token of the realm. Empty when there is none; raises
    `BadParameter` when there could be none. Chains once let symbols hold anything, so what is odd is looked up first.
    """
    found = list(
        Token.objects.filter(Q(path=text) | Q(key=text) | Q(realm=text)).annotate(supply=supply()).order_by("path")
    )
    if not found and not all(character.isprintable() and not character.isspace() for character in text):
        raise BadParameter(
            "tokenPath", f"{shown(text)} is not a token", "A token's path has no spaces or control characters"
        )
    exact = [token for token in found if token.path == text]
    keyed = [token for token in found if token.key == text]
    if exact and exact[0].realm != text:
        found = exact
    elif keyed and not exact:
        found = keyed
    return [Resolved(token.id, token.path, flags(token, token.supply)) for token in found]


def sums(asked: Asked) -> Page:
    """Every token with the sum over all accounts, by path.

    The sum is minted less burned, which is kept with the transfers: each transfer adds to one account what it takes
    from another, so adding up the balances gives the same.
    """
    tokens = Token.objects.annotate(supply=supply()).order_by("path")
    if asked.after:
        tokens = tokens.filter(path__gt=asked.after[0])
    if not asked.include_zero:
        tokens = tokens.exclude(supply=0)
    rows = [
        {"tokenPath": token.path, "amount": int(token.supply), **described(token, token.supply)}
        for token in tokens[: asked.limit + 1]
    ]
    return page_of(rows, asked.limit, lambda row: (row["tokenPath"],))
