"""Every balance and supply of gnotest-1 as the chain itself gives them, and what the API says of its tokens."""

import pytest

from replay.recording import Recording
from tests.balances.api.client import Api
from tests.balances.api.oracle_comparison import check_accounts, check_holders, check_supplies, expected

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]


def test_every_holder_of_every_token_of_todays_format_is_as_the_chain_says(gnotest: Recording, api: Api) -> None:
    check_holders(api, "gnotest-1")


def test_every_account_of_todays_format_holds_what_the_chain_says(gnotest: Recording, api: Api) -> None:
    check_accounts(api, "gnotest-1")


def test_every_supply_of_todays_format_is_as_the_chain_says(gnotest: Recording, api: Api) -> None:
    check_supplies(api, "gnotest-1")


def test_one_pair_alone_is_as_the_chain_says(gnotest: Recording, api: Api) -> None:
    pairs, _ = expected("gnotest-1")
    for (token, address), amount in pairs.items():
        body = api.get(f"/tokens/{token}/balances", address=address)
        assert [(row["address"], row["tokenPath"], row["amount"]) for row in body["accountBalances"]] == [
            (address, token, amount)
        ]


def test_addresses_that_differ_in_case_are_different_accounts(gnotest: Recording, api: Api) -> None:
    token, upper = "gno.land/r/demo/defi/foo20.FOO.0000000", "G1YZ66F8S6PLQ4UUL0PA3MT0LVJSWS5D4JU5XMMX"
    assert api.get(f"/tokens/{token}/balances", address=upper)["accountBalances"][0]["amount"] == 17
    lower = api.get(f"/tokens/{token}/balances", address=upper.lower())["accountBalances"]
    assert [row["amount"] for row in lower] != [17]


def test_the_twin_is_marked(gnotest: Recording, api: Api) -> None:
    token = "gno.land/r/g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf/vault.GOLD.0000001"
    flags = {row["tokenPath"]: row["flags"] for row in api.rows("/tokens/balances", include="zero")}
    assert flags[token] == ["duplicate id"]
    assert flags["gno.land/r/demo/defi/foo20.FOO.0000000"] == []
    assert {tuple(row["flags"]) for row in api.rows(f"/tokens/{token}/balances")} == {("duplicate id",)}


def test_announced_names_are_shown_to_the_letter(gnotest: Recording, api: Api) -> None:
    rows = {row["tokenPath"]: row for row in api.rows("/tokens/balances", include="zero")}
    silver = next(row for path, row in rows.items() if ".SILVER." in path)
    assert silver["decimals"] == 18
    assert "<" in silver["name"] or '"' in silver["name"]
    announced = [row for path, row in rows.items() if ".EMPTY." in path]
    assert [row["amount"] for row in announced] == [0], "announced and never minted: only with include=zero"
    assert not [row for row in api.rows("/tokens/balances") if ".EMPTY." in row["tokenPath"]]
