"""One account and one token, as a route names them."""

from dataclasses import dataclass

from balances.models import Account
from balances.queries.errors import BadParameter, shown
from balances.queries.token_lookup import Resolved, resolve

CHOICES = 20
"""Tokens that are named when a path means several."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An account by its address, and a token by one of its spellings; `account` is None where nobody has that address.

    `token` is None where there is none that is spelled so.
    """

    address: str
    path: str
    account: int | None
    token: Resolved | None


def find_pair(address: str, text: str) -> Pair:
    """The pair, in the caller's snapshot. Raises `BadParameter`, with the choices, when `text` means several tokens."""
    meant = resolve((text,), "tokenPath", CHOICES)
    if len(meant.tokens) > 1:
        more = "" if meant.complete_to is None else " …"
        paths = " ".join(token.path for token in meant.tokens)
        raise BadParameter("tokenPath", f"{shown(text)} means several tokens", f"Name one of them: {paths}{more}")
    token = meant.tokens[0] if meant.tokens else None
    account = Account.objects.filter(address=address).values_list("id", flat=True).first()
    return Pair(address, text if token is None else token.path, account, token)
