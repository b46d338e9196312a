"""One account in a few numbers, and its transfers."""

import pytest

from balances.models import Balance
from balances.queries import account_balances, account_summary
from replay.recording import Recording
from tests.balances.api.client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

NOBODY = "g15vj5q08amlvyd0nx6zjgcvwq2d0gt9fcchrvum"


def test_numbers_are_those_of_its_transfers_and_balances(gnotest: Recording, api: Api) -> None:
    history = api.rows("/tokens/transfer-history", limit=1000)
    addresses = {row[side] for row in history for side in ("fromAddress", "toAddress")} - {""}
    assert len(addresses) > 10
    for address in sorted(addresses)[:40]:
        mine = [row for row in history if address in (row["fromAddress"], row["toAddress"])]
        held = Balance.objects.filter(account__address=address, amount__gt=0).count()
        assert api.get(f"/accounts/{address}")["account"] == {
            "address": address,
            "tokensHeld": held,
            "transfers": len(mine),
            "firstHeight": mine[-1]["blockHeight"],
            "lastHeight": mine[0]["blockHeight"],
        }
        assert api.rows(f"/accounts/{address}/transfers", limit=20) == mine


def test_an_account_that_never_had_a_token_has_none_of_anything(gnotest: Recording, api: Api) -> None:
    body = api.get(f"/accounts/{NOBODY}/")
    assert body["account"] == {
        "address": NOBODY,
        "tokensHeld": 0,
        "transfers": 0,
        "firstHeight": None,
        "lastHeight": None,
    }
    assert body["indexedHeight"] == 485
    assert api.get(f"/accounts/{NOBODY}/balances")["balances"] == []
    assert api.get(f"/accounts/{NOBODY}/transfers/")["transfers"] == []


def test_what_is_too_much_to_count_is_not_counted(
    gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_summary, "SCAN", 1)
    monkeypatch.setattr(account_balances, "SCAN", 2)
    busy = api.get("/tokens/transfer-history", limit=1)["transfers"][0]["toAddress"]
    number = Balance.objects.filter(account__address=busy).count()
    assert number > 2
    account = api.get(f"/accounts/{busy}")["account"]
    assert (account["tokensHeld"], account["transfers"]) == (None, None)
    assert account["lastHeight"] is not None
    assert len(api.rows(f"/accounts/{busy}/balances", include="zero")) == number


@pytest.mark.parametrize("suffix", ["", "/", "/balances", "/transfers"])
@pytest.mark.parametrize("address", ["alice", "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf4", "%00", "%20", "é"])
def test_what_is_no_address_is_refused_by_name(api: Api, suffix: str, address: str) -> None:
    assert api.problem(f"/accounts/{address}{suffix}", 400)["parameter"] == "address"
