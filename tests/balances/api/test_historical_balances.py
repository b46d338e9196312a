"""Balances at a height or a time, by every route, over a recorded chain."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from balances.history import checkpoints
from blocks.models import Block, Chain
from replay.recording import Recording
from tests.balances.api.client import Api
from tests.balances.history_factories import walk

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FOO = "gno.land/r/demo/defi/foo20"
BUSY = "g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf"


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 4)
    monkeypatch.setattr(checkpoints, "BATCH", 60)


def test_a_token_at_a_height_has_its_supply_and_nothing_that_is_not_kept(api: Api, gnotest: Recording) -> None:
    for height in (30, 200, 485):
        (row,) = api.get(f"/tokens/{FOO}", height=height)["tokens"]
        sums = {each["tokenPath"]: each["amount"] for each in api.rows("/tokens/balances", height=height)}
        assert row["supply"] == sums.get(row["tokenPath"], 0)
        assert {row[name] for name in ("minted", "burned", "holders", "transfers")} == {None}
        assert row["symbol"] == "FOO"
    assert isinstance(api.get(f"/tokens/{FOO}", height=485, amounts="string")["tokens"][0]["supply"], str)


def test_zero_means_what_had_moved_by_then(api: Api, gnotest: Recording) -> None:
    first = {row["tokenPath"]: row["firstSeenHeight"] for row in api.rows("/tokens")}
    height = sorted(first.values())[len(first) // 2]
    rows = api.rows("/tokens/balances", height=height, include="zero")
    assert {first[row["tokenPath"]] <= height for row in rows} == {True}
    zeros = 0
    for token in first:
        path = f"/tokens/{token}/balances"
        then, now = (api.rows(path, include="zero", **query) for query in ({"height": 485}, {}))
        assert sorted(map(str, then)) == sorted(map(str, now))
        zeros += sum(row["amount"] == 0 for row in then)
        assert sorted(map(str, api.rows(path, height=485))) == sorted(str(row) for row in now if row["amount"])
    assert zeros


def test_a_time_means_the_last_block_up_to_then(api: Api, gnotest: Recording) -> None:
    times = dict(Block.objects.values_list("height", "time"))
    for height in (1, 59, 60, 484, 485):
        said = api.get("/tokens/balances", time=times[height].isoformat().replace("+00:00", "Z"))
        assert said["height"] == height
        assert datetime.fromisoformat(said["time"]) == times[height]
        assert said["balances"] == api.get("/tokens/balances", height=height)["balances"]
    for height in (59, 484):
        between = times[height] + (times[height + 1] - times[height]) / 2
        assert api.get("/tokens/balances", time=between.timestamp())["height"] == height
    before = times[0] - timedelta(seconds=1)
    for path in ("/tokens/balances", f"/tokens/{FOO}/holders"):
        said = api.problem(path, 400, time=before.timestamp())
        assert (said["parameter"], "before the first block" in said["detail"]) == ("time", True)
        said = api.problem(path, 409, time=(times[485] + timedelta(seconds=1)).timestamp())
        assert (said["parameter"], said["indexedHeight"]) == ("time", 485)


def test_what_is_not_indexed_is_refused_with_the_height_that_is(api: Api, gnotest: Recording) -> None:
    for path in (
        "/tokens/balances",
        f"/tokens/{FOO}",
        f"/tokens/{FOO}/balances",
        f"/tokens/{FOO}/holders",
        f"/accounts/{BUSY}/balances",
    ):
        said = api.problem(path, 409, height=486)
        assert (said["parameter"], said["indexedHeight"]) == ("height", 485)
        assert "485" in said["detail"]
        assert api.problem(path, 400, height=1, time=1)["parameter"] == "time"
        assert api.problem(path, 400, height=-1)["parameter"] == "height"
        assert api.problem(path, 400, time="yesterday")["parameter"] == "time"
    assert api.problem("/tokens", 400, height=1)["parameter"] == "'height'"


def test_nothing_is_known_below_the_start(api: Api, gnotest: Recording) -> None:
    Chain.objects.update(start_height=50)
    assert "From height 50 on" in api.problem("/tokens/balances", 400, height=49)["detail"]
    assert api.get("/tokens/balances", height=50)["height"] == 50


def test_every_route_costs_a_fixed_number_of_queries(
    api: Api, gnotest: Recording, django_assert_num_queries: Callable[[int], Any]
) -> None:
    walk()
    token = f"/tokens/{FOO}.FOO.0000000"
    for queries, path, query in (
        (6, "/tokens/balances", {}),
        (5, "/tokens/balances", {"address": BUSY}),
        (5, f"{token}/balances", {}),
        (6, f"{token}/holders", {}),
        (2, f"{token}/balances", {"address": BUSY}),
        (7, token, {}),
        (5, f"/accounts/{BUSY}/balances", {}),
    ):
        for limit in (2, 100):
            with django_assert_num_queries(queries):
                body = api.get(path, height=300, limit=limit, **query)
            if body["next"]:
                with django_assert_num_queries(queries):
                    api.get(body["next"])


@pytest.mark.parametrize("walked", [True, False])
def test_a_balance_of_one_token_is_that_of_the_list_of_all(api: Api, gnotest: Recording, walked: bool) -> None:
    if walked:
        walk()
    known = {row["tokenPath"] for row in api.rows("/tokens/balances", address=BUSY, include="zero")}
    assert len(known) > 1
    for height in range(0, 486, 5):
        held = {
            row["tokenPath"]: row for row in api.rows("/tokens/balances", address=BUSY, height=height, include="zero")
        }
        for token in known:
            rows = api.rows(f"/tokens/{token}/balances", address=BUSY, height=height, include="zero")
            assert [row["amount"] for row in rows] == [held[token]["amount"] for _ in rows]
            assert bool(rows) == (token in held)


def test_lists_of_then_as_lines(api: Api, client: Client, gnotest: Recording) -> None:
    for path in ("/tokens/balances", f"/tokens/{FOO}/balances", f"/accounts/{BUSY}/balances"):
        body = b"".join(client.get(f"{path}?height=300", headers={"Accept": "application/x-ndjson"}))
        assert [json.loads(line) for line in body.splitlines()] == api.rows(path, height=300)
        assert client.get(f"{path}?height=486", headers={"Accept": "text/csv"}).status_code == 409
