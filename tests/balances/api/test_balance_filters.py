"""Filters of balances, alone and with others, against the same filters in Python over every balance of a chain."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from balances.models import Account, Balance, Token
from balances.queries import account_balances, holders, token_list
from replay.recording import Recording
from tests.balances.api.client import Api, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FACTORY = "gno.land/r/demo/defi/grc20factory"


@pytest.fixture
def pairs(gnotest: Recording) -> list[Row]:
    """Every balance there is, zero too; other tests compare them with the chain itself."""
    return [
        {"address": address, "tokenPath": path, "amount": int(amount), "standard": standard}
        for path, address, amount, standard in Balance.objects.values_list(
            "token__path", "account__address", "amount", "token__standard"
        )
    ]


@pytest.fixture
def supplies(pairs: list[Row]) -> list[Row]:
    """Every token with the sum of its balances."""
    sums = dict.fromkeys(Token.objects.values_list("path", "standard"), 0)
    for row in pairs:
        sums[row["tokenPath"], row["standard"]] += row["amount"]
    return [
        {"tokenPath": path, "amount": amount, "standard": standard} for (path, standard), amount in sorted(sums.items())
    ]


@pytest.fixture(params=[(5000, 1000), (7, 40)], ids=["plenty", "little"])
def _bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much one page may read: as it is, and so little that pages are short."""
    scan, looked_up = request.param
    for module in (account_balances, token_list):
        monkeypatch.setattr(module, "SCAN", scan)
    for module in (account_balances, token_list):
        monkeypatch.setattr(module, "LOOKED_UP", looked_up)
    monkeypatch.setattr(holders, "LOOKED_UP", looked_up // 20)


def kept(rows: list[Row], query: dict[str, str]) -> list[Row]:
    """The rows that fulfil `query`."""
    tests: dict[str, Callable[[Row], bool]] = {
        "address": lambda row: row["address"] in query["address"].split(","),
        "token": lambda row: any(
            row["tokenPath"] == each or row["tokenPath"].startswith(f"{each}.") for each in query["token"].split(",")
        ),
        "minAmount": lambda row: row["amount"] >= int(query["minAmount"]),
        "standard": lambda row: row["standard"] == (query["standard"] == "true"),
    }
    return [
        row
        for row in rows
        if (row["amount"] or "include" in query) and all(test(row) for name, test in tests.items() if name in query)
    ]


def draw(chance: Random, rows: list[Row], *names: str) -> dict[str, str]:
    """Filters `names`, with values of the chain."""
    tokens = [row["tokenPath"] for row in chance.sample(rows, 2)]
    tokens = [token for token in (*tokens, tokens[0].rsplit(".", 1)[0], FACTORY) if "," not in token]
    optional = {
        "token": ",".join(chance.sample(tokens, chance.randint(1, 2))),
        "minAmount": str(max(0, chance.choice(rows)["amount"])),
        "standard": chance.choice(["true", "false"]),
        "include": "zero",
    }
    return {name: optional[name] for name in names if chance.random() < 0.4}


def plain(rows: list[Row], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.usefixtures("_bounds")
@pytest.mark.parametrize("seed", range(3))
def test_tokens_with_their_sums(api: Api, supplies: list[Row], seed: int) -> None:
    chance = Random(seed)
    for _ in range(8):
        query = draw(chance, supplies, "token", "minAmount", "standard", "include")
        rows = api.rows("/tokens/balances", limit=chance.choice([3, 100]), **query)
        assert plain(rows, "tokenPath", "amount") == plain(kept(supplies, query), "tokenPath", "amount"), query


@pytest.mark.usefixtures("_bounds")
@pytest.mark.parametrize("seed", range(3))
def test_what_accounts_hold(api: Api, pairs: list[Row], seed: int) -> None:
    chance = Random(seed)
    for _ in range(8):
        addresses = sorted({row["address"] for row in chance.sample(pairs, chance.choice([1, 3]))})
        query = draw(chance, pairs, "token", "minAmount", "standard", "include")
        names, limit = ("tokenPath", "address", "amount"), chance.choice([2, 100])
        some = query | {"address": ",".join(addresses)}
        rows = api.rows("/tokens/balances", limit=limit, **some)
        assert plain(rows, *names) == sorted(plain(kept(pairs, some), *names)), some
        one = query | {"address": addresses[0]}
        rows = api.rows(f"/accounts/{addresses[0]}/balances", limit=limit, **query)
        assert plain(rows, *names) == sorted(plain(kept(pairs, one), *names)), one


@pytest.mark.usefixtures("_bounds")
@pytest.mark.parametrize("seed", range(3))
def test_holders_and_their_shares(api: Api, pairs: list[Row], supplies: list[Row], seed: int) -> None:
    chance = Random(seed)
    supply = {row["tokenPath"]: row["amount"] for row in supplies}
    for _ in range(8):
        token = chance.choice([chance.choice(pairs)["tokenPath"].rsplit(".", 1)[0], FACTORY])
        query = draw(chance, pairs, "minAmount", "standard", "include")
        found = kept(pairs, {"token": token, **query})
        limit = chance.choice([3, 100])
        ids = dict(Account.objects.values_list("address", "id"))
        largest = sorted(found, key=lambda row: (row["tokenPath"], -row["amount"], ids[row["address"]]))
        path = f"/tokens/{token.replace('#', '%23')}"
        names = ("tokenPath", "address", "amount")
        assert plain(api.rows(f"{path}/balances", limit=limit, **query), *names) == plain(largest, *names)
        shares = api.rows(f"{path}/holders", limit=limit, **query)
        assert plain(shares, *names) == plain(largest, *names)
        for row in shares:
            whole = supply[row["tokenPath"]]
            assert row["share"] is None if whole <= 0 else abs(float(row["share"]) - row["amount"] / whole) < 1e-11
        addresses = ",".join(sorted({row["address"] for row in chance.sample(pairs, 3)}))
        some = sorted(plain(kept(found, {"address": addresses, **query}), *names))
        assert plain(api.rows(f"{path}/balances", address=addresses, limit=2, **query), *names) == some


@pytest.mark.parametrize(
    ("amount", "supply", "share"),
    [
        (1, 3, "0.333333333333"),
        (3, 3, "1.000000000000"),
        (2**80, 2**81 + 1, "0.499999999999"),
        (-1, 4, "-0.250000000000"),
        (0, 4, "0.000000000000"),
        (5, 4, "1.250000000000"),
        (1, 0, None),
        (1, -1, None),
    ],
)
def test_a_share_is_exact_to_its_last_digit(amount: int, supply: int, share: str | None) -> None:
    assert holders.share(amount, supply) == share
