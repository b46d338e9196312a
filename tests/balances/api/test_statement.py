"""Statements and series of one account and one token, against the transfers that the API itself lists."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Cast
from django.test import Client

from balances.history import checkpoints
from balances.models import Account, Balance, BalanceCheckpoint, Token, Transfer
from blocks.models import Block
from replay.recording import Recording
from tests.balances.api.client import Api, Row
from tests.balances.history_factories import walk

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

BUSY = "g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf"
NOBODYS = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
FACTORY = "gno.land/r/demo/defi/grc20factory"


@pytest.fixture(autouse=True)
def _walked(gnotest: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 5)
    walk()


@pytest.fixture
def busiest(api: Api) -> tuple[str, str]:
    """The account and the token with the most transfers of those that BUSY has."""
    tokens = [row["tokenPath"] for row in api.rows(f"/accounts/{BUSY}/balances", include="zero")]
    return BUSY, max(tokens, key=lambda token: len(listed(api, BUSY, token)))


def listed(api: Api, address: str, token: str, **query: Any) -> list[Row]:
    return api.rows(f"/accounts/{address}/transfers", token=token, order="asc", limit=1000, **query)


def change(row: Row, address: str) -> int:
    gained: int = row["amount"] * ((row["toAddress"] == address) - (row["fromAddress"] == address))
    return gained


def pages(api: Api, path: str, **query: Any) -> list[Row]:
    found = [api.get(path, **query)]
    while found[-1]["next"]:
        found.append(api.get(found[-1]["next"]))
    return found


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
def test_a_statement_runs_through_every_transfer(api: Api, busiest: tuple[str, str], limit: int) -> None:
    address, token = busiest
    expected, said = listed(api, *busiest), pages(api, f"/accounts/{address}/tokens/{token}/statement", limit=limit)
    rows = [row for page in said for row in page["transfers"]]
    assert len(rows) > 10
    assert [{name: row[name] for name in expected[0]} for row in rows] == expected
    balance = 0
    for row in rows:
        assert (row["balanceBefore"], row["change"]) == (balance, change(row, address))
        balance += row["change"]
        assert row["balanceAfter"] == balance
    for page in said:
        assert page["consistent"]
        assert (page["fromHeight"], page["toHeight"]) == (0, 485)
        assert (page["openingBalance"], page["closingBalance"]) == (0, balance)
        assert page["pageOpeningBalance"] == page["transfers"][0]["balanceBefore"]
        assert page["pageClosingBalance"] == page["transfers"][-1]["balanceAfter"]


def test_a_period_opens_and_closes_with_what_was_held(api: Api, busiest: tuple[str, str]) -> None:
    address, token = busiest
    times = dict(Block.objects.values_list("height", "time"))
    held = {
        height: sum(change(row, address) for row in listed(api, *busiest, toHeight=height)) for height in (49, 300, 485)
    }
    for query, first, last in (
        ({"fromHeight": 50, "toHeight": 300}, 50, 300),
        ({"fromTime": times[50].timestamp(), "toTime": times[300].timestamp()}, 50, 300),
        ({"fromHeight": 50, "toHeight": 10_000}, 50, 485),
        ({"fromHeight": 50, "fromTime": 0, "toTime": (times[485] + timedelta(days=1)).timestamp()}, 50, 485),
    ):
        said = api.get(f"/accounts/{address}/tokens/{token}/statement", limit=1000, **query)
        assert (said["fromHeight"], said["toHeight"]) == (first, last)
        assert (said["openingBalance"], said["closingBalance"]) == (held[49], held[last])
        assert len(said["transfers"]) == len(listed(api, *busiest, fromHeight=first, toHeight=last))
        assert said["consistent"]


@pytest.mark.parametrize(
    "query",
    [{"fromHeight": 486}, {"fromHeight": 60, "toHeight": 50}, {"toTime": 1}, {"fromTime": 4_000_000_000}],
)
def test_an_empty_period_has_the_balance_at_its_end(api: Api, busiest: tuple[str, str], query: Row) -> None:
    address, token = busiest
    said = api.get(f"/accounts/{address}/tokens/{token}/statement", **query)
    assert (said["transfers"], said["consistent"]) == ([], True)
    height = said["toHeight"]
    held = 0 if height < 0 else sum(change(row, address) for row in listed(api, *busiest, toHeight=height))
    assert (said["openingBalance"], said["closingBalance"]) == (held, held)
    assert api.get(f"/accounts/{address}/tokens/{token}/series", **query)["points"] == []


def test_who_sends_to_himself_did_so_once_and_gained_nothing(api: Api, busiest: tuple[str, str]) -> None:
    path = f"/accounts/{busiest[0]}/tokens/{busiest[1]}/statement"
    before = api.get(path, limit=1000)
    account, token = Account.objects.get(address=busiest[0]), Token.objects.get(path=busiest[1])
    Transfer.objects.create(
        block_height=300,
        tx_index=9,
        event_index=0,
        token=token,
        from_account=account,
        to_account=account,
        amount=5,
    )
    checkpoints.forget(300)
    after = api.get(path, limit=1000)
    (own,) = (row for row in after["transfers"] if row["fromAddress"] == row["toAddress"])
    assert (own["amount"], own["change"], own["balanceBefore"] == own["balanceAfter"]) == (5, 0, True)
    assert [row for row in after["transfers"] if row != own] == before["transfers"]
    assert (after["closingBalance"], after["consistent"]) == (before["closingBalance"], True)


def test_what_is_not_there_is_empty(api: Api, busiest: tuple[str, str]) -> None:
    for address, token in ((NOBODYS, busiest[1]), (BUSY, "gno.land/r/none.NONE.0000000")):
        said = api.get(f"/accounts/{address}/tokens/{token}/statement")
        assert (said["transfers"], said["closingBalance"], said["consistent"]) == ([], 0, True)
        series = api.get(f"/accounts/{address}/tokens/{token}/series", interval=100)
        assert {point["amount"] for point in series["points"]} == {0}


@pytest.mark.parametrize("route", ["statement", "series"])
def test_several_tokens_are_named_and_one_is_asked_for(api: Api, route: str) -> None:
    said = api.problem(f"/accounts/{BUSY}/tokens/{FACTORY}/{route}", 400)
    assert said["parameter"] == "tokenPath"
    for row in api.rows(f"/tokens/{FACTORY}"):
        assert row["tokenPath"] in said["detail"]
    assert api.problem(f"/accounts/{BUSY[:-1]}q/tokens/{FACTORY}/{route}", 400)["parameter"] == "address"
    assert api.get(f"/accounts/{BUSY}/tokens/gno.land/r/demo/defi/foo20/{route}")["tokenPath"].endswith("FOO.0000000")


def test_a_balance_that_is_not_the_sum_is_told(
    api: Api, busiest: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    path = f"/accounts/{busiest[0]}/tokens/{busiest[1]}/statement"
    pair = {"account__address": busiest[0], "token__path": busiest[1]}
    account, token = Balance.objects.filter(**pair).values_list("account_id", "token_id").get()
    Balance.objects.filter(**pair).update(amount=1)
    assert not api.get(path, limit=1000)["consistent"]
    assert "Statement does not add up" in caplog.text
    assert api.get(path, limit=1)["consistent"], "the first page does not see the end"
    checkpoint = BalanceCheckpoint.objects.filter(account_id=account, token_id=token).order_by("-block_height")[1]
    BalanceCheckpoint.objects.filter(pk=checkpoint.pk).update(balance=7)
    assert [page["consistent"] for page in pages(api, path, limit=3)].count(False) > 1


@pytest.mark.parametrize("interval", ["1", "7", "50", "484", "10000"])
def test_a_series_by_blocks(api: Api, busiest: tuple[str, str], interval: str) -> None:
    address, token = busiest
    path = f"/accounts/{address}/tokens/{token}/series"
    moves = listed(api, *busiest)
    times = dict(Block.objects.values_list("height", "time"))
    for query, heights in (
        ({}, [*range(485, -1, -int(interval))][::-1]),
        ({"fromHeight": 100, "toHeight": 400}, sorted({*range(100, 401, int(interval)), 400})),
    ):
        points = api.get(path, interval=interval, **query)["points"]
        assert [point["height"] for point in points] == heights
        for point in points:
            assert datetime.fromisoformat(point["time"]) == times[point["height"]]
            assert point["amount"] == sum(
                change(row, address) for row in moves if row["blockHeight"] <= point["height"]
            )


def test_a_series_by_time(api: Api, busiest: tuple[str, str]) -> None:
    address, token = busiest
    path = f"/accounts/{address}/tokens/{token}/series"
    moves = [(datetime.fromisoformat(row["blockTime"]), change(row, address)) for row in listed(api, *busiest)]
    times = dict(Block.objects.values_list("height", "time"))
    seconds = int((times[485] - times[0]).total_seconds() / 20)
    start = times[0] - timedelta(seconds=2.5 * seconds)
    periods: list[tuple[Row, int, int]] = [
        ({}, 485, 20), ({"fromTime": start.timestamp()}, 485, 20), ({"fromHeight": 0, "toHeight": 300}, 300, 2)
    ]  # fmt: skip
    for query, last, number in periods:
        points = api.get(path, interval=f"{seconds}s", **query)["points"]
        assert len(points) >= number
        instants = [datetime.fromisoformat(point["time"]) for point in points]
        apart = {later - earlier for earlier, later in pairwise(instants)}
        assert timedelta(seconds=seconds) in apart
        assert len(apart) <= 2, "the last one is at the end"
        assert instants[-1] == times[last]
        for point, instant in zip(points, instants, strict=True):
            assert point["amount"] == sum(gained for time, gained in moves if time <= instant)
            assert point["height"] == max(height for height, time in times.items() if time <= instant)
        assert instants[0] >= times[0]


def test_a_series_without_an_interval_is_evenly_drawn(api: Api, busiest: tuple[str, str]) -> None:
    points = api.get(f"/accounts/{busiest[0]}/tokens/{busiest[1]}/series", amounts="string")["points"]
    assert 90 <= len(points) <= 100
    assert points[-1]["height"] == 485
    assert {type(point["amount"]) for point in points} == {str}


@pytest.mark.parametrize("interval", ["0", "1.5h", "h", "-1", "1y", "9999999999", "", "1 d"])
def test_an_interval_that_is_none_is_refused(api: Api, interval: str) -> None:
    said = api.problem(f"/accounts/{BUSY}/tokens/gno.land/r/demo/defi/foo20/series", 400, interval=interval)
    assert (said["parameter"], "1h" in said["detail"]) == ("interval", True)


def test_too_many_points_are_refused(api: Api, gnotest: Recording) -> None:
    path = f"/accounts/{BUSY}/tokens/gno.land/r/demo/defi/foo20/series"
    for query in ({"interval": "30s", "fromHeight": 0}, {"interval": "30s", "fromTime": 1}):
        assert len(api.get(path, **query)["points"]) < 500
    Block.objects.update(time=Cast(Value("2026-01-01T00:00Z"), DateTimeField()) + F("height") * timedelta(minutes=1))
    for query in ({"interval": "30s", "fromHeight": 0}, {"interval": "30s", "fromTime": 1}):
        assert "At most 500" in api.problem(path, 400, **query)["detail"]
    assert len(api.get(path, interval="30s")["points"]) == 500
    assert api.get(path, interval="999999999w", fromTime=1)["points"] != []


def test_answers_are_as_the_schema_says(api: Api, client: Client, busiest: tuple[str, str]) -> None:
    schema = client.get("/schema", headers={"Accept": "application/json"}).json()
    for route in ("statement", "series"):
        said = schema["paths"][f"/accounts/{{address}}/tokens/{{tokenPath}}/{route}"]["get"]["responses"]["200"]
        shape = said["content"]["application/json"]["schema"] | {"components": schema["components"]}
        for query in ({}, {"amounts": "string"}):
            jsonschema.validate(api.get(f"/accounts/{busiest[0]}/tokens/{busiest[1]}/{route}", **query), shape)


def test_a_statement_as_lines(client: Client, api: Api, busiest: tuple[str, str]) -> None:
    path = f"/accounts/{busiest[0]}/tokens/{busiest[1]}/statement"
    body = b"".join(client.get(path, headers={"Accept": "text/csv"})).decode()
    names, *lines = body.splitlines()
    assert names.endswith("change,balanceBefore,balanceAfter")
    assert len(lines) == len(listed(api, *busiest))


def test_every_page_costs_a_fixed_number_of_queries(
    api: Api, busiest: tuple[str, str], django_assert_num_queries: Callable[[int], Any]
) -> None:
    path = f"/accounts/{busiest[0]}/tokens/{busiest[1]}"
    with django_assert_num_queries(9):
        body = api.get(f"{path}/statement", limit=2)
    with django_assert_num_queries(9):
        api.get(body["next"])
    with django_assert_num_queries(10):  # on the last page, the balance itself
        api.get(f"{path}/statement", limit=1000)
    for interval in ("1", "100", "1h"):
        with django_assert_num_queries(6 + (interval == "1h")):
            api.get(f"{path}/series", interval=interval)
