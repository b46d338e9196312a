"""Every balance and supply of test5-1, whose realms speak for themselves, as the chain itself gives them."""

import pytest
from django.test import Client

from replay.recording import Recording
from tests.balances.api.client import Api
from tests.balances.api.oracle_comparison import check_accounts, check_holders, check_supplies

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]


def test_every_holder_of_every_token_of_the_older_format_is_as_the_chain_says(test5: Recording, api: Api) -> None:
    check_holders(api, "test5-1")


def test_every_account_of_the_older_format_holds_what_the_chain_says(test5: Recording, api: Api) -> None:
    check_accounts(api, "test5-1")


def test_every_supply_of_the_older_format_is_as_the_chain_says(test5: Recording, api: Api) -> None:
    check_supplies(api, "test5-1")


def test_a_supply_beyond_64_bits_is_exact_and_marked(test5: Recording, api: Api) -> None:
    rows = {row["tokenPath"]: row for row in api.rows("/tokens/balances")}
    assert rows["gno.land/r/lab/ovftok"]["amount"] == 27670116110564328422
    assert rows["gno.land/r/lab/ovftok"]["flags"] == ["supply over 64 bits"]
    assert rows["gno.land/r/demo/foo20"]["flags"] == []


def test_amounts_are_exact_json_integers(test5: Recording, client: Client) -> None:
    assert b'"amount":27670116110564328422,' in client.get("/tokens/balances").content


def test_the_older_format_has_the_same_shape(test5: Recording, api: Api) -> None:
    rows = api.rows("/tokens/transfer-history", token="gno.land/r/demo/foo20", limit=4)
    assert {row["type"] for row in rows} == {"mint", "transfer", "burn"}
    assert {row["tokenPath"] for row in rows} == {"gno.land/r/demo/foo20"}
