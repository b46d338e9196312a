"""Pages stay what they are while the chain goes on, and cost the same number of queries wherever they are."""

from collections.abc import Callable
from typing import Any

import pytest

from balances.queries import token_list, transfers
from tests.balances.api.client import LISTS, Api, Row
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HISTORY = "/tokens/transfer-history"
PROGRESS_AND_VERSION = 1


def rest(api: Api, url: str | None, key: str) -> list[Row]:
    rows: list[Row] = []
    while url:
        body = api.get(url)
        rows += body[key]
        url = body["next"]
    return rows


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"type": "transfer,burn"},
        {"address": "g1muvl8vv7wq3rktwvf5nc5tpzmlqyjyh9umljau", "minAmount": "200"},
        {"token": "gno.land/r/demo/defi/foo20,gno.land/r/demo/defi/grc20factory"},
        {"order": "asc"},
        {"order": "asc", "standard": "true"},
    ],
)
def test_pages_of_history_neither_shift_nor_repeat_while_rows_arrive(
    api: Api, monkeypatch: pytest.MonkeyPatch, query: dict[str, str]
) -> None:
    monkeypatch.setattr(transfers, "SCAN", 30)
    recording = fill_database("gnotest-1", last=150)
    before = api.rows(HISTORY, limit=1000, **query)
    first = api.get(HISTORY, limit=10, **query)
    store_heights(recording, 151, 485)
    apply_pending()
    after = api.rows(HISTORY, limit=1000, **query)
    seen = first["transfers"] + rest(api, first["next"], "transfers")
    assert 10 < len(before) < len(after)
    # Newest first, what is new comes before the first page; oldest first, after the last.
    assert seen == (after if "order" in query else before)
    assert len(places(seen)) == len(seen)


def places(rows: list[Row]) -> set[tuple[int, int, int]]:
    return {(row["blockHeight"], row["txIndex"], row["eventIndex"]) for row in rows}


def test_pages_of_tokens_never_repeat_one_while_others_arrive(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_list, "SCAN", 3)
    recording = fill_database("gnotest-1", last=60)
    before = [row["tokenPath"] for row in api.rows("/tokens")]
    first = api.get("/tokens", limit=2)
    store_heights(recording, 61, 485)
    apply_pending()
    after = [row["tokenPath"] for row in api.rows("/tokens")]
    seen = [row["tokenPath"] for row in first["tokens"] + rest(api, first["next"], "tokens")]
    assert len(before) < len(after)
    assert len(set(seen)) == len(seen)
    assert set(before) <= set(seen) <= set(after)


def test_pages_of_holders_never_repeat_one_whose_balance_stood_still(api: Api) -> None:
    recording = fill_database("gnotest-1", last=60)
    path = "/tokens/gno.land/r/demo/defi/foo20/balances"
    before = {row["address"]: row["amount"] for row in api.rows(path)}
    first = api.get(path, limit=5)
    store_heights(recording, 61, 485)
    apply_pending()
    after = {row["address"]: row["amount"] for row in api.rows(path)}
    seen = [row["address"] for row in first["accountBalances"] + rest(api, first["next"], "accountBalances")]
    still = {address for address, amount in before.items() if after.get(address) == amount}
    assert still
    for address in still:
        assert seen.count(address) == 1


def test_an_empty_database_answers_with_nothing(api: Api) -> None:
    for path in LISTS:
        body = api.get(path)
        assert [value for value in body.values() if isinstance(value, list)] == [[]]
        assert (body["chainId"], body["indexedHeight"], body["includesUpTo"]) == (None, -1, -1)


def test_an_answer_says_what_it_holds_while_windows_arrive_out_of_order(api: Api) -> None:
    recording = fill_database("gnotest-1", last=100)
    store_heights(recording, 201, 300)
    apply_pending()
    body = api.get(HISTORY, limit=1)
    assert (body["indexedHeight"], body["includesUpTo"]) == (100, 300)
    assert body["transfers"][0]["blockHeight"] > 200
    store_heights(recording, 101, 200)
    body = api.get(HISTORY, limit=1)
    assert 100 <= body["indexedHeight"] < 200, "stored, and not applied yet"
    apply_pending()
    assert api.get(HISTORY)["indexedHeight"] == 300


def test_every_route_costs_a_fixed_number_of_queries(api: Api, django_assert_num_queries: Callable[..., Any]) -> None:
    fill_database("gnotest-1")
    busy = api.get(HISTORY, limit=1)["transfers"][0]["toAddress"]
    foo = "gno.land/r/demo/defi/foo20"
    factory = "gno.land/r/demo/defi/grc20factory"
    for queries, path, query in (
        (2, "/tokens/balances", {}),
        (2, "/tokens/balances", {"token": factory}),
        (1, "/tokens/balances", {"address": busy}),
        (3, "/tokens/balances", {"address": busy, "token": factory}),
        (1, f"/tokens/{foo}/balances", {}),
        (3, f"/tokens/{factory}/balances", {}),  # several tokens
        (1, f"/tokens/{foo}/balances", {"address": busy}),
        (1, f"/tokens/{foo}/holders", {}),
        (1, HISTORY, {}),
        (1, HISTORY, {"address": busy}),
        (2, HISTORY, {"token": factory}),
        (3, HISTORY, {"token": foo, "address": busy}),
        (2, HISTORY, {"type": "mint"}),
        (2, HISTORY, {"fromTime": "0", "toHeight": "400"}),
        (3, "/tokens", {"search": "foo"}),
        (3, f"/tokens/{factory}", {}),
        (2, f"/tokens/{foo}/transfers", {}),
        (1, f"/accounts/{busy}/balances", {}),
        (1, f"/accounts/{busy}/transfers", {}),
    ):
        for limit in (1, 2, 100):
            with django_assert_num_queries(PROGRESS_AND_VERSION + queries, info=f"{path} {query}"):
                body = api.get(path, limit=limit, **query)
            if body["next"]:
                with django_assert_num_queries(PROGRESS_AND_VERSION + queries, info=f"{path} {query}"):
                    api.get(body["next"])
    with django_assert_num_queries(PROGRESS_AND_VERSION + 1):
        api.get(f"/accounts/{busy}")
