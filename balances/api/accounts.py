"""What one account holds: of every token, or of some."""

from balances.api.pages import Page, page_of
from balances.api.parameters import Asked
from balances.api.tokens import described, resolve, supply
from balances.models import Balance


def held_tokens(asked: Asked) -> Page:
    """The balance of the account `asked.address` of each token it holds, by token path."""
    balances = (
        Balance.objects.filter(account__address=asked.address)
        .select_related("token")
        .annotate(supply=supply("token__"))
        .order_by("token__path")
    )
    if asked.after:
        balances = balances.filter(token__path__gt=asked.after[0])
    if not asked.include_zero:
        balances = balances.exclude(amount=0)
    rows = [
        {
            "tokenPath": balance.token.path,
            "amount": int(balance.amount),
            **described(balance.token, balance.supply),
        }
        for balance in balances[: asked.limit + 1]
    ]
    return page_of(rows, asked.limit, lambda row: (row["tokenPath"],))


def held_of_token(asked: Asked) -> Page:
    """The balance of the account `asked.address` of the tokens that `asked.token` means, by token path."""
    assert asked.token is not None
    tokens = {token.id: token for token in resolve(asked.token)}
    balances = Balance.objects.filter(token_id__in=tokens, account__address=asked.address).order_by("token__path")
    if asked.after:
        balances = balances.filter(token__path__gt=asked.after[0])
    if not asked.include_zero:
        balances = balances.exclude(amount=0)
    rows = [
        {
            "address": asked.address,
            "tokenPath": tokens[token_id].path,
            "amount": int(amount),
            "flags": tokens[token_id].flags,
        }
        for token_id, amount in balances.values_list("token_id", "amount")[: asked.limit + 1]
    ]
    return page_of(rows, asked.limit, lambda row: (row["tokenPath"],))
