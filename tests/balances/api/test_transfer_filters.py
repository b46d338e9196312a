"""Every filter of transfers, alone and with others, against the same filter in Python over the whole history."""

from collections.abc import Callable
from random import Random

import pytest
from django.db import connection

from balances.queries import transfers
from balances.queries.filters import TransferFilters
from balances.queries.scan_budgets import SCAN
from balances.queries.token_lookup import Meant, Resolved
from replay.recording import Recording
from tests.balances.api.client import Api, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HISTORY = "/tokens/transfer-history"
FACTORY = "gno.land/r/demo/defi/grc20factory"
TOKENS = ["gno.land/r/demo/defi/foo20", "gno.land/r/demo/defi/foo20.FOO", FACTORY, "gno.land/r/nobody/nothing"]
LAST = 485
BUSY = "g1muvl8vv7wq3rktwvf5nc5tpzmlqyjyh9umljau"


@pytest.fixture
def everything(gnotest: Recording, api: Api) -> list[Row]:
    """The whole history, which other tests compare with the chain itself."""
    return api.rows(HISTORY, limit=1000)


def model(rows: list[Row], query: dict[str, str]) -> list[Row]:
    """The rows that fulfil `query`, in its order: what the API should say."""
    addresses = set(filter(None, query.get("address", "").split(",")))
    tests: dict[str, Callable[[Row], bool]] = {
        "address": lambda row: not addresses or bool(addresses & {row["fromAddress"], row["toAddress"]}),
        "direction": lambda row: row[{"in": "toAddress", "out": "fromAddress"}[query["direction"]]] in addresses,
        "counterparty": lambda row: any(
            row[mine] in addresses and row[theirs] == query["counterparty"]
            for side, mine, theirs in (("out", "fromAddress", "toAddress"), ("in", "toAddress", "fromAddress"))
            if query.get("direction", side) == side
        ),
        "token": lambda row: any(
            row["tokenPath"] == each or row["tokenPath"].startswith(f"{each}.") for each in query["token"].split(",")
        ),
        "type": lambda row: row["type"] in query["type"].split(","),
        "fromHeight": lambda row: row["blockHeight"] >= int(query["fromHeight"]),
        "toHeight": lambda row: row["blockHeight"] <= int(query["toHeight"]),
        "fromTime": lambda row: row["blockTime"] >= query["fromTime"],
        "toTime": lambda row: row["blockTime"] <= query["toTime"],
        "minAmount": lambda row: row["amount"] >= int(query["minAmount"]),
        "standard": lambda row: (row["tokenPath"].count(".") > 1) == (query["standard"] == "true"),
    }
    kept = [row for row in rows if all(test(row) for name, test in tests.items() if name in query)]
    return kept[::-1] if query.get("order") == "asc" else kept


def draw(chance: Random, rows: list[Row]) -> dict[str, str]:
    """Filters with values of the chain, so that most of them find something."""
    row, other = chance.choice(rows), chance.choice(rows)
    accounts = [row["toAddress"], other["fromAddress"], other["toAddress"], row["fromAddress"]]
    tokens = [row["tokenPath"], other["tokenPath"].rsplit(".", 1)[0], *TOKENS]
    heights = sorted(chance.randrange(LAST) for _ in range(2))
    times = sorted(each["blockTime"] for each in (row, other))
    optional = {
        "token": several(chance, [token for token in tokens if "," not in token]),
        "type": several(chance, ["mint", "burn", "transfer"]),
        "fromHeight": str(heights[0]),
        "toHeight": str(heights[1]),
        "fromTime": times[0],
        "toTime": times[1],
        "minAmount": str(chance.choice([row, other])["amount"]),
        "standard": chance.choice(["true", "false"]),
        "order": chance.choice(["asc", "desc"]),
    }
    query = {name: value for name, value in optional.items() if chance.random() < 0.25}
    if chance.random() < 0.6:
        query["address"] = several(
            chance, list(filter(None, accounts[: chance.randint(1, 4)])) or [accounts[2] or accounts[1]]
        )
        if chance.random() < 0.3:
            query["direction"] = chance.choice(["in", "out"])
        if chance.random() < 0.3:
            query["counterparty"] = chance.choice(list(filter(None, accounts)))
    return query


def several(chance: Random, values: list[str]) -> str:
    return ",".join(chance.sample(values, chance.randint(1, min(3, len(values)))))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("scan", "merged"), [(90, 1), (5000, 50)])
def test_any_filters_give_what_they_say(
    everything: list[Row], api: Api, monkeypatch: pytest.MonkeyPatch, seed: int, scan: int, merged: int
) -> None:
    monkeypatch.setattr(transfers, "SCAN", scan)
    monkeypatch.setattr(transfers, "MERGED", merged)
    chance = Random(seed)
    found = 0
    for _ in range(12):
        query = draw(chance, everything)
        rows = model(everything, query)
        assert api.rows(HISTORY, limit=chance.choice([40, 1000]), **query) == rows, query
        found += bool(rows)
    assert found > 3


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "query",
    [
        {"type": "mint"},
        {"type": "transfer,burn"},
        {"minAmount": "1000"},
        {"standard": "false"},
        {"token": FACTORY, "type": "transfer"},
        {"address": BUSY, "type": "transfer"},
        {"address": BUSY, "direction": "out", "minAmount": "100"},
    ],
)
def test_nothing_is_lost_where_one_page_stops_looking_and_the_next_begins(
    everything: list[Row], api: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], order: str
) -> None:
    monkeypatch.setattr(transfers, "SCAN", 40)
    rows = model(everything, query | {"order": order})
    assert len(rows) > 1
    assert api.rows(HISTORY, limit=1000, order=order, **query) == rows


@pytest.mark.parametrize("way", ["nestloop", "hashjoin", "mergejoin"])
@pytest.mark.parametrize("query", [{"token": FACTORY}, {"address": BUSY, "token": FACTORY}, {"standard": "true"}])
def test_the_order_is_kept_however_postgresql_joins(
    everything: list[Row], api: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str], way: str
) -> None:
    monkeypatch.setattr(transfers, "MERGED", 1)
    with connection.cursor() as cursor:
        for each in ("nestloop", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{each} = {'on' if each == way else 'off'}")
        rows = api.rows(HISTORY, limit=15, **query)
        cursor.execute(
            "SET LOCAL enable_nestloop = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on"
        )
    assert rows == model(everything, query)


@pytest.mark.parametrize("addresses", [0, 1, 20])
@pytest.mark.parametrize("tokens", [0, 1, 50])
def test_what_one_page_looks_through_is_shared_by_its_walks(addresses: int, tokens: int) -> None:
    wanted = TransferFilters(addresses=tuple(map(str, range(addresses))))
    found = [Resolved(number, "", True, {}, 0, SCAN + 1) for number in range(tokens)]
    walks, _, each = transfers._ways(wanted, Meant(found, None, {}) if tokens else None)
    number = len(walks) * (addresses or tokens or 1)
    assert number * each <= SCAN < 2 * number * each
