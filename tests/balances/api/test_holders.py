"""Holders in order: equal amounts, empty and negative balances, several tokens of one realm, on pages of any size."""

from decimal import Decimal

import pytest

from balances.models import Account, Balance, Token
from tests.balances.api.client import Api, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

REALM = "gno.land/r/demo/hall"
AMOUNTS = [5, 5, 5, 5, 3, 3, 1, 0, 0, 0, -1, -1, -4]


@pytest.fixture
def hall() -> list[Row]:
    """Two tokens of one realm; the rows that a page of everything would have."""
    rows = []
    accounts = [Account(address=f"account-{number:02}") for number in reversed(range(len(AMOUNTS)))]
    Account.objects.bulk_create(accounts)
    for symbol in ("B", "A", "EMPTY"):
        path = f"{REALM}.{symbol}.0000000"
        token = Token.objects.create(path=path, key=f"{REALM}.{symbol}", realm=REALM, standard=True)
        for account, amount in zip(accounts, AMOUNTS, strict=True):
            held = Decimal(0 if symbol == "EMPTY" else amount)
            Balance.objects.create(token=token, account=account, amount=held)
            rows.append({"address": account.address, "tokenPath": path, "amount": int(held), "flags": []})
    # Of equal amounts, the account that was seen first.
    return sorted(rows, key=lambda row: (row["tokenPath"], -row["amount"]))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 1000])
def test_pages_of_any_size_make_the_whole_list(api: Api, hall: list[Row], limit: int) -> None:
    assert api.rows(f"/tokens/{REALM}/balances", limit=limit) == [row for row in hall if row["amount"]]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_zero_balances_are_there_when_asked_for(api: Api, hall: list[Row], limit: int) -> None:
    assert api.rows(f"/tokens/{REALM}/balances", limit=limit, include="zero") == hall


def test_one_token_of_a_realm_by_its_key(api: Api, hall: list[Row]) -> None:
    rows = api.rows(f"/tokens/{REALM}.A/balances", limit=2)
    assert rows == [row for row in hall if row["amount"] and row["tokenPath"] == f"{REALM}.A.0000000"]
