"""How a token may be spelled in a path: id, key, realm, percent-encoded or not."""

from decimal import Decimal
from urllib.parse import quote, unquote

import pytest

from balances.models import Account, Balance, Token
from tests.balances.api.client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOLDER = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"


@pytest.fixture
def account() -> Account:
    return Account.objects.create(address=HOLDER)


def make(account: Account, path: str, key: str | None = None, realm: str | None = None) -> str:
    token = Token.objects.create(path=path, key=key or path, realm=realm or path, standard=True)
    Balance.objects.create(token=token, account=account, amount=Decimal(token.id))
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
    assert found(api, "gno.land/r/F") == []


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


UNSEEN = [
    *("gno.land/r/nobody/nothing", "gno.land/r/x/", "gno.land/r/x%23sub", "gno.land/e/g1abc/run", "tests.gno.land/r/a"),
    *("gno.land/r/x.SYM", "gno.land/r/x:SYM", "gno.land/r/x.SYM.0000000", "gno.land/r/x%23sub.SYM", "gno.land/r/x.a.b"),
    *("gno.land/r/x.ibc/27394FB0", "gno.land/r/x.X/holders/of", "gno.land/r/x.X%3Fa=b", "gno.land/r/x.X%23frag"),
    *("gno.land/r/x.X,Y", "gno.land/r/x.=1%2B1", "gno.land/r/x.\U0001f984", "gno.land/r/x:a:b"),
]
"""What a chain could have, or had in the era of unchecked symbols."""
IMPOSSIBLE = [
    *("", "x", "balances", "é", "FOO", "wugnot.wugnot", "r/demo/wugnot", "demo/wugnot", "/r/x", "/gno.land/r/x"),
    *("gno.land", "gno.land/", "gno.land/r", "gno.land/r/", "gno.land/R/x", "gno.land/p/demo/grc20", "gnoland/r/x"),
    *(
        "https:%2F%2Fgno.land/r/x",
        "gno.land:r/x:SYM",
        "gno.land/r/.SYM",
        "gno.land/r/x.",
        "gno.land/r/x:",
        "gno.land//r/x",
    ),
    *("gno.land/r/x,", "gno.land/r/x.SYM,", "gno.land/r/x,gno.land/r/y", "gno.land/r/x. SYM", "gno.land/r/x SYM"),
    *("%20", "a%00b", "a%0Ab", "a%09b", "%C2%A0", "gno.land/r/x%0A", "gno.land/r/x.%E2%80%AE", "x" * 513, "é" * 257),
    *("gno.land%252Fr%252Fx", ",", "0x6b175474e89094c44da98b954eedeac495271d0f", "ugnot"),
]


@pytest.mark.parametrize("unknown", UNSEEN)
def test_an_unknown_token_has_no_holders(api: Api, unknown: str) -> None:
    assert api.get(f"/tokens/{unknown}/balances")["accountBalances"] == []
    assert api.get(f"/tokens/{unknown}/balances", address=HOLDER)["accountBalances"] == []
    assert api.get("/tokens/transfer-history", token=unknown)["transfers"] == []


@pytest.mark.parametrize("impossible", IMPOSSIBLE)
def test_what_can_be_no_token_is_refused_by_name(api: Api, impossible: str) -> None:
    problem = api.problem(f"/tokens/{impossible}/balances", 400)
    assert problem["parameter"] == "tokenPath"
    assert "realm:SYMBOL" in problem["detail"]
    assert "%23" in problem["detail"]
    text = unquote(impossible)
    if text and "," not in text[:-1]:  # in a list a comma separates
        assert api.problem("/tokens/transfer-history", 400, token=text)["parameter"] == "token"


def test_what_is_stored_is_a_token_whatever_it_looks_like(api: Api, account: Account) -> None:
    for path in ("COVID", "bubble:BUBBLE", "a b", "x,", "GNO.LAND/R/x"):
        make(account, path)
        assert found(api, quote(path, safe="")) == [path]
        assert [row["tokenPath"] for row in api.rows("/tokens", token=path)] == [path]


@pytest.mark.parametrize("realm", ["gno.land/r/demo/defi/foo20", "gno.land/r/x#sub"])
def test_a_wallet_writes_a_colon_before_the_symbol(api: Api, account: Account, realm: str) -> None:
    path = make(account, f"{realm}.FOO.0000000", f"{realm}.FOO", realm)
    other = make(account, f"{realm}.FOO_.0000000", f"{realm}.FOO_", realm)
    for spelling in (f"{realm}:FOO", f"{realm}:FOO.0000000"):
        for encoded in (quote(spelling, safe=""), quote(spelling, safe="/:")):
            assert found(api, encoded) == [path]
            assert [row["tokenPath"] for row in api.get(f"/tokens/{encoded}")["tokens"]] == [path]
            assert api.get(f"/tokens/{encoded}/balances", address=HOLDER)["accountBalances"]
            assert api.get(f"/accounts/{HOLDER}/tokens/{encoded}/series")["tokenPath"] == path
        (row,) = api.rows("/tokens/balances", token=spelling, address=HOLDER)
        assert row["tokenPath"] == path
    rows = api.rows("/tokens/balances", token=f"{realm}:FOO,{realm}:FOO_,{realm}:NONE", include="zero")
    assert [row["tokenPath"] for row in rows] == [path, other]


def test_what_is_stored_with_a_colon_comes_before_what_a_colon_could_mean(api: Api, account: Account) -> None:
    realm = "gno.land/r/odd"
    plain = make(account, f"{realm}.A", realm=realm)
    inner = make(account, f"{realm}.A:B", realm=realm)
    assert found(api, f"{realm}:A") == [plain]
    assert found(api, f"{realm}:A:B") == found(api, f"{realm}.A:B") == [inner]
    exact = make(account, f"{realm}:A", realm=f"{realm}:A")
    assert found(api, f"{realm}:A") == [exact]
    assert found(api, f"{realm}.A") == [plain]


def test_a_symbol_may_have_a_comma(api: Api, account: Account) -> None:
    realm = "gno.land/r/odd"
    odd, tail, plain = (make(account, f"{realm}.{symbol}", realm=realm) for symbol in ("X,Y", f"X,{realm}.Z", "Z"))

    def named(*values: str) -> list[str]:
        query = "&".join(f"token={quote(value, safe='')}" for value in values)
        return [row["tokenPath"] for row in api.rows(f"/tokens/balances?{query}&address={HOLDER}&limit=1")]

    assert named(odd) == [odd]
    assert named(f"{odd},{plain}") == named(odd, plain) == named(f"{plain},{odd}") == [odd, plain]
    assert named(f"{realm}:X,Y") == [odd]
    assert named(tail, plain) == [tail, plain], "each value is whole where there are several"
    assert api.problem(f"/tokens/balances?token={odd}&token=", 400)["parameter"] == "token"
    assert api.problem(f"/tokens/balances?address={HOLDER}&address={HOLDER}", 400)["parameter"] == "address"


@pytest.mark.parametrize("symbol", ["X/", "X/balances", "X/holders", "X/transfers", "..", "%2F", "X#frag", "+plus"])
def test_a_token_whose_symbol_looks_like_a_route_can_be_looked_at(api: Api, account: Account, symbol: str) -> None:
    realm = "gno.land/r/odd"
    path = make(account, f"{realm}.{symbol}", realm=realm)
    make(account, f"{realm}.X", realm=realm)
    assert [row["tokenPath"] for row in api.rows("/tokens", token=path)] == [path]
    assert found(api, quote(path, safe="")) == [path]


def test_a_realm_means_the_tokens_of_its_sub_realms_too(api: Api, account: Account) -> None:
    host = "gno.land/r/host"
    realms = [f"{host}#a-b", f"{host}#a", f"{host}#b", host]
    paths = [make(account, f"{realm}.S{n}.0000000", f"{realm}.S{n}", realm) for realm in realms for n in range(3)]
    old = make(account, f"{host}#old")
    for other in ("gno.land/r/host2", "gno.land/r/host/below", "gno.land/r/host_", "gno.land/r/hos"):
        make(account, f"{other}.S.0000000", f"{other}.S", other)
    make(account, f"{host}.X#frag", realm=host)
    for route, member in (("", "tokens"), ("/balances", "accountBalances"), ("/holders", "holders")):
        for limit in (1, 2, 100):
            rows = api.rows(f"/tokens/{host}{route}", limit=limit)
            assert [row["tokenPath"] for row in rows] == sorted([*paths, old, f"{host}.X#frag"]), member
    rows = api.rows(f"/tokens/{host}/balances", address=HOLDER, limit=4)
    assert [row["tokenPath"] for row in rows] == sorted([*paths, old, f"{host}.X#frag"])
    assert found(api, f"{host}%23a") == paths[3:6], "a sub-realm is itself alone"
    assert found(api, f"{host}.X%23frag") == [f"{host}.X#frag"]
    assert found(api, f"{host}.X") == [], "what follows a # in a symbol is no sub-realm"


def test_a_realm_with_one_token_in_a_sub_realm(api: Api, account: Account) -> None:
    path = make(account, "gno.land/r/host#a.S.0000000", "gno.land/r/host#a.S", "gno.land/r/host#a")
    assert found(api, "gno.land/r/host") == [path]
    assert api.get(f"/accounts/{HOLDER}/tokens/gno.land/r/host/series")["tokenPath"] == path
