"""Holders in order: equal amounts, empty and negative balances, several tokens of one realm, on pages of any size."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from balances.api.responses import min_height
from balances.models import Account, Balance, Ranking, Token
from blocks.models import Chain
from tests.balances.api.client import Api, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

REALM = "gno.land/r/demo/hall"
AMOUNTS = [5, 5, 5, 5, 3, 3, 1, 0, 0, 0, -1, -1, -4]


@pytest.fixture
def hall() -> list[Row]:
    """Two tokens of one realm; the rows that a page of everything would have."""
    rows = []
    accounts = [Account(address=f"account-{number:02}") for number in range(len(AMOUNTS))]
    Account.objects.bulk_create(accounts)
    for symbol in ("B", "A", "EMPTY"):
        path = f"{REALM}.{symbol}.0000000"
        token = Token.objects.create(path=path, key=f"{REALM}.{symbol}", realm=REALM, standard=True)
        for account, amount in zip(accounts, AMOUNTS, strict=True):
            held = Decimal(0 if symbol == "EMPTY" else amount)
            Balance.objects.create(
                token=token, account=account, amount=held, ranked_amount=held, address=account.address
            )
            rows.append({"address": account.address, "tokenPath": path, "amount": int(held), "flags": []})
    return sorted(rows, key=lambda row: (row["tokenPath"], -row["amount"], row["address"]))


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 7, 1000])
def test_pages_of_any_size_make_the_whole_list(api: Api, hall: list[Row], limit: int) -> None:
    assert api.rows(f"/tokens/{REALM}/balances", limit=limit) == [row for row in hall if row["amount"]]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_zero_balances_are_there_when_asked_for(api: Api, hall: list[Row], limit: int) -> None:
    assert api.rows(f"/tokens/{REALM}/balances", limit=limit, include="zero") == hall


def test_one_token_of_a_realm_by_its_key(api: Api, hall: list[Row]) -> None:
    rows = api.rows(f"/tokens/{REALM}.A/balances", limit=2)
    assert rows == [row for row in hall if row["amount"] and row["tokenPath"] == f"{REALM}.A.0000000"]


@pytest.mark.usefixtures("hall")
def test_a_list_that_a_backfill_left_behind_says_so_and_nothing_else_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(min_height, "DEFAULT_SECONDS", 0)
    Chain.objects.create(chain_id="hall-1", start_height=0, coverage=[(0, 100)], tip=100)
    Ranking.objects.create(state="behind", indexed_height=40, passed_at=datetime(2026, 1, 1, tzinfo=UTC))
    one = f"/tokens/{REALM}.A.0000000"
    for path in (f"{one}/balances", f"{one}/holders"):
        assert api.get(path)["indexedHeight"] == 40
        assert api.get(path, minHeight=40)["indexedHeight"] == 40
        api.problem(path, 409, minHeight=41)
        api.problem(path, 409, height=41)
    for path in (f"{one}/balances?address=g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5", "/tokens/balances"):
        assert api.get(path)["indexedHeight"] == 100
