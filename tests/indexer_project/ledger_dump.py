"""The whole ledger as data, so that two of them can be compared."""

from typing import Any

from balances.models import Announcement, Balance, Token, TokenTotals, Transfer
from events.models import RefusedEvent
from tests.balances.ledger_factories import balances, expect_conserved
from tests.chains import oracle


def ledger() -> dict[str, Any]:
    """Everything that a ledger says, without the numbers by which it is stored."""
    place = ("block_height", "tx_index", "event_index")
    sides = ("from_account__address", "to_account__address")
    return {
        "transfers": sorted(map(repr, Transfer.objects.values_list(*place, "token__path", *sides, "amount"))),
        "balances": sorted(Balance.objects.values_list("token__path", "account__address", "amount")),
        "totals": sorted(TokenTotals.objects.values_list("token__path", "minted", "burned", "transfers", "holders")),
        "tokens": sorted(
            map(
                repr,
                Token.objects.values_list(
                    "path", "key", "realm", "standard", "name", "symbol", "decimals", "announcements"
                ),
            )
        ),
        "announcements": sorted(Announcement.objects.values_list(*place, "token__path", "name", "symbol", "decimals")),
        "refused": sorted(
            map(repr, RefusedEvent.objects.values_list(*place, "emitter", "type", "attributes", "reason", "detail"))
        ),
    }


def expect_the_chains_own(name: str) -> None:
    said = oracle(name)
    known = {(one["token"], one["address"]): one["events"] for one in said["known_differences"]}
    found = balances()
    for token, told in said["tokens"].items():
        expected = dict(told["balances"]) | {who: held for (t, who), held in known.items() if t == token and who}
        assert {who: held for (path, who), held in found.items() if path == token} == expected
    expect_conserved()
