"""Balances of the past while the index grows: as it answered when it was there, and not before it can know."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from balances.history import checkpoints
from blocks.models import AcceptedGap, Block
from tests.balances.api.client import Api, Row
from tests.balances.history_factories import walk
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FACTORY = "gno.land/r/demo/defi/grc20factory"
FOO = "gno.land/r/demo/defi/foo20"


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 4)
    monkeypatch.setattr(checkpoints, "BATCH", 60)


def everything(api: Api, **query: Any) -> dict[str, list[Row]]:
    """Every balance that the API has, by route, in an order of its own."""
    sums = api.rows("/tokens/balances", **query)
    tokens = sorted({row["tokenPath"] for row in sums} | {FOO, FACTORY})
    said = {"sums": sums}
    accounts = set()
    for token in tokens:
        holders = api.rows(f"/tokens/{token}/balances", **query)
        accounts |= {row["address"] for row in holders}
        said |= {f"balances {token}": holders, f"shares {token}": api.rows(f"/tokens/{token}/holders", **query)}
    few = sorted(accounts)[::9]
    for address in few:
        said[f"account {address}"] = api.rows(f"/accounts/{address}/balances", **query)
        said[f"of account {address}"] = api.rows("/tokens/balances", address=address, **query)
        said[f"account {address} of {FACTORY}"] = api.rows(f"/tokens/{FACTORY}/balances", address=address, **query)
    said["several"] = api.rows("/tokens/balances", address=",".join(few[:3]), standard="true", minAmount=2, **query)
    # What is said of a token beside its amounts is as it is known now.
    return {
        name: sorted(
            ({key: value for key, value in row.items() if key != "flags"} for row in rows),
            key=lambda row: (row["tokenPath"], row.get("address", "")),
        )
        for name, rows in said.items()
    }


def test_every_list_is_as_it_was_when_the_index_was_there(api: Api) -> None:
    heights = (60, 220, 485)
    recording = fill_database("gnotest-1", last=heights[0])
    then = {heights[0]: everything(api)}
    for before, height in pairwise(heights):
        checkpoints.step()
        store_heights(recording, before + 1, height)
        apply_pending()
        then[height] = everything(api)
    assert everything(api, height=220, limit=1000) == then[220]
    walk()
    for height, limit in zip(heights, (50, 9, 1000), strict=True):
        assert everything(api, height=height, limit=limit) == then[height]
        assert api.get("/tokens/balances", height=height)["height"] == height


def test_pages_of_then_are_the_same_while_blocks_arrive(api: Api) -> None:
    recording = fill_database("gnotest-1", last=100)
    path = f"/tokens/{FOO}/balances"
    whole = api.rows(path, height=100)
    pages = api.pages(path, height=100, limit=3)
    rows = next(pages)
    for first in (101, 200, 300):
        store_heights(recording, first, {101: 199, 200: 299, 300: 485}[first])
        apply_pending()
        walk()
        rows += next(pages)
    assert rows + [row for page in pages for row in page] == whole


def test_nothing_is_known_of_an_empty_database(api: Api) -> None:
    assert api.problem("/tokens/balances", 409, height=0)["indexedHeight"] == -1
    assert api.problem("/tokens/balances", 409, time=1)["indexedHeight"] == -1


def test_a_time_that_may_be_in_a_gap_is_not_known(api: Api) -> None:
    recording = fill_database("gnotest-1", last=100)
    store_heights(recording, 121, 200)
    apply_pending()
    times = dict(Block.objects.values_list("height", "time"))
    just_after = (times[100] + timedelta(microseconds=1)).timestamp()
    assert api.get("/tokens/balances", time=times[99].timestamp())["height"] == 99
    assert api.get("/tokens/balances", time=times[100].timestamp())["height"] == 100
    assert api.problem("/tokens/balances", 409, time=just_after)["indexedHeight"] == 100
    assert api.problem("/tokens/balances", 409, time=times[150].timestamp())["indexedHeight"] == 100
    AcceptedGap.objects.create(first_height=101, last_height=120, reason="nobody has it")
    assert api.get("/tokens/balances", time=just_after)["height"] == 100
    assert api.get("/tokens/balances", height=110)["time"] is None
