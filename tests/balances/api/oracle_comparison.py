"""Compares the API, all its pages, with what a recorded chain itself says of every balance and every supply."""

from balances.models import Account
from tests.balances.api.client import Api
from tests.chains import oracle

Pairs = dict[tuple[str, str], int]


def expected(name: str) -> tuple[Pairs, dict[str, int]]:
    """Non-zero balances by (token, address) and supplies by token, with the known differences as events have them."""
    answered = oracle(name)
    pairs = {
        (token, address): amount
        for token, said in answered["tokens"].items()
        for address, amount in said["balances"].items()
    }
    supplies = {token: said["total_supply"] for token, said in answered["tokens"].items()}
    for known in answered["known_differences"]:
        if known["address"] is None:
            supplies[known["token"]] = known["events"]
        else:
            pairs[known["token"], known["address"]] = known["events"]
    return pairs, {token: supply for token, supply in supplies.items() if supply}


def check_holders(api: Api, name: str) -> None:
    pairs, supplies = expected(name)
    ids = dict(Account.objects.values_list("address", "id"))
    for token, supply in supplies.items():
        rows = api.rows(f"/tokens/{token}/balances", limit=7)
        assert {row["tokenPath"] for row in rows} == {token}
        assert {row["address"]: row["amount"] for row in rows} == {
            address: amount for (of, address), amount in pairs.items() if of == token
        }
        assert len(rows) == len({row["address"] for row in rows})
        assert rows == sorted(rows, key=lambda row: (-row["amount"], ids[row["address"]]))
        assert sum(row["amount"] for row in rows) == supply


def check_accounts(api: Api, name: str) -> None:
    pairs, supplies = expected(name)
    for account in {address for _, address in pairs}:
        rows = api.rows("/tokens/balances", address=account, limit=2)
        assert [row["tokenPath"] for row in rows] == sorted(row["tokenPath"] for row in rows)
        assert {row["tokenPath"]: row["amount"] for row in rows if row["tokenPath"] in supplies} == {
            token: amount for (token, address), amount in pairs.items() if address == account
        }


def check_supplies(api: Api, name: str) -> None:
    _, supplies = expected(name)
    rows = api.rows("/tokens/balances", limit=3)
    assert [row["tokenPath"] for row in rows] == sorted(row["tokenPath"] for row in rows)
    assert {row["tokenPath"]: row["amount"] for row in rows if row["tokenPath"] in supplies} == supplies
