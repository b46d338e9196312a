"""How a token may be spelled in a path: id, key, realm, percent-encoded or not."""

from decimal import Decimal
from urllib.parse import quote

import pytest

from balances.models import Account, Balance, Token
from tests.balances.api.asking import Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOLDER = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"


@pytest.fixture
def account() -> Account:
    return Account.objects.create(address=HOLDER)


def make(account: Account, path: str, key: str | None = None, realm: str | None = None) -> str:
    token = Token.objects.create(path=path, key=key or path, realm=realm or path, standard=True)
    held = Decimal(token.id)
    Balance.objects.create(token=token, account=account, amount=held, ranked_amount=held, address=account.address)
    return path


def found(api: Api, spelling: str) -> list[str]:
    return [row["tokenPath"] for row in api.rows(f"/tokens/{spelling}/balances")]


@pytest.mark.parametrize("slash", ["", "/"])
def test_every_spelling_of_a_token_finds_it(api: Api, account: Account, slash: str) -> None:
    realm = "gno.land/r/x#sub"
    path = make(account, f"{realm}.SYM.0000000", f"{realm}.SYM", realm)
    for spelling in (path, f"{realm}.SYM", realm):
        for encoded in (quote(spelling, safe=""), quote(spelling), spelling.replace("#", "%23")):
            body = api.get(f"/tokens/{encoded}/balances{slash}")
            assert [row["tokenPath"] for row in body["accountBalances"]] == [path]


def test_a_realm_that_is_a_token_answers_with_every_token_of_it(api: Api, account: Account) -> None:
    old = make(account, "gno.land/r/demo/wugnot")
    new = make(account, "gno.land/r/demo/wugnot.W.0000000", "gno.land/r/demo/wugnot.W", "gno.land/r/demo/wugnot")
    make(account, "gno.land/r/demo/wugnot2")
    assert found(api, "gno.land/r/demo/wugnot") == [old, new]
    assert found(api, "gno.land/r/demo/wugnot.W") == [new]


def test_an_exact_id_comes_before_a_key(api: Api, account: Account) -> None:
    short = make(account, "gno.land/r/a.FOO", "gno.land/r/a.FOO", "gno.land/r/a")
    long = make(account, "gno.land/r/a.FOO.0000000", "gno.land/r/a.FOO", "gno.land/r/a")
    twin = make(account, "gno.land/r/a.FOO.0000001", "gno.land/r/a.FOO", "gno.land/r/a")
    assert found(api, "gno.land/r/a.FOO") == [short]
    assert found(api, "gno.land/r/a") == [short, long, twin]
    Token.objects.filter(path=short).delete()
    assert found(api, "gno.land/r/a.FOO") == [long, twin]


def test_case_matters(api: Api, account: Account) -> None:
    upper = make(account, "gno.land/r/f.PERUN.0000000", "gno.land/r/f.PERUN", "gno.land/r/f")
    lower = make(account, "gno.land/r/f.perun.0000000", "gno.land/r/f.perun", "gno.land/r/f")
    assert (found(api, "gno.land/r/f.PERUN"), found(api, "gno.land/r/f.perun")) == ([upper], [lower])
    assert found(api, "gno.land/R/f") == []


@pytest.mark.parametrize("symbol", ["a b", "a/b", "a.b", "a\nb", "ü", "balances", "%2F", "?", "<b>"])
def test_what_old_chains_allowed_in_a_symbol_can_be_asked_for(api: Api, account: Account, symbol: str) -> None:
    path = make(account, f"gno.land/r/odd.{symbol}", realm="gno.land/r/odd")
    assert found(api, quote(path, safe="")) == [path]


def test_pages_follow_an_encoded_path(api: Api, account: Account) -> None:
    realm = "gno.land/r/x#sub"
    for number in range(5):
        make(account, f"{realm}.S{number}.0000000", f"{realm}.S{number}", realm)
    assert len(api.rows(f"/tokens/{quote(realm, safe='')}/balances", limit=2)) == 5
    assert len(api.rows(f"/tokens/{quote(realm, safe='')}/balances", limit=2, address=HOLDER)) == 5


@pytest.mark.parametrize("unknown", ["gno.land/r/nobody/nothing", "x", "balances", "gno.land/r/x/", "é"])
def test_an_unknown_token_has_no_holders(api: Api, unknown: str) -> None:
    assert api.get(f"/tokens/{unknown}/balances")["accountBalances"] == []
    assert api.get(f"/tokens/{unknown}/balances", address=HOLDER)["accountBalances"] == []
    assert api.get("/tokens/transfer-history", token=unknown)["transfers"] == []


@pytest.mark.parametrize("malformed", ["", "%20", "a b", "a%00b", "a%0Ab", "a%09b", "%C2%A0", "x" * 513, "é" * 257])
def test_a_malformed_token_is_refused_by_name(api: Api, malformed: str) -> None:
    assert api.problem(f"/tokens/{malformed}/balances", 400)["parameter"] == "tokenPath"
