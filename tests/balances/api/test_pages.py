"""Pages stay what they are while the chain goes on, and cost the same number of queries wherever they are."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.balances.api.asking import LISTS, Api, Row
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HISTORY = "/tokens/transfer-history"
PROGRESS_AND_VERSION = 2


def rest(api: Api, url: str | None, key: str) -> list[Row]:
    rows: list[Row] = []
    while url:
        body = api.get(url)
        rows += body[key]
        url = body["next"]
    return rows


def test_pages_of_history_neither_shift_nor_repeat_while_rows_arrive(api: Api) -> None:
    recording = fill_database("gnotest-1", last=150)
    before = api.rows(HISTORY, limit=1000)
    first = api.get(HISTORY, limit=20)
    store_heights(recording, 151, 485)
    apply_pending()
    assert first["transfers"] + rest(api, first["next"], "transfers") == before
    assert len(api.rows(HISTORY, limit=1000)) > len(before)


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


def test_every_route_costs_a_fixed_number_of_queries(api: Api, django_assert_num_queries: Callable[[int], Any]) -> None:
    fill_database("gnotest-1")
    busy = api.get(HISTORY, limit=1)["transfers"][0]["toAddress"]
    foo = "gno.land/r/demo/defi/foo20"
    factory = "gno.land/r/demo/defi/grc20factory"
    for queries, path, query in (
        (1, "/tokens/balances", {}),
        (1, "/tokens/balances", {"address": busy}),
        (2, f"/tokens/{foo}/balances", {}),
        (2, f"/tokens/{factory}/balances", {}),
        (2, f"/tokens/{foo}/balances", {"address": busy}),
        (1, HISTORY, {}),
        (1, HISTORY, {"address": busy}),
        (2, HISTORY, {"token": factory}),
        (2, HISTORY, {"token": foo, "address": busy}),
    ):
        for limit in (1, 2, 100):
            with django_assert_num_queries(PROGRESS_AND_VERSION + queries):
                body = api.get(path, limit=limit, **query)
            if body["next"]:
                with django_assert_num_queries(PROGRESS_AND_VERSION + queries):
                    api.get(body["next"])


MANY = """
INSERT INTO tokens (id, path, realm, key, standard)
    SELECT n, 'gno.land/r/many.T' || n || '.0000000', 'gno.land/r/many', 'gno.land/r/many.T' || n, true
    FROM generate_series(1, 20) AS n;
INSERT INTO accounts (id, address) SELECT n, 'account-' || n FROM generate_series(1, 5000) AS n;
INSERT INTO accounts (id, address) VALUES (9000, 'g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5');
INSERT INTO transfers (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)
    SELECT n, n % 3, 0, n % 20 + 1, CASE WHEN n % 500 = 0 THEN 9000 ELSE n % 4999 + 1 END, n % 4998 + 1, 1
    FROM generate_series(1, 50000) AS n;
INSERT INTO balances (token_id, account_id, amount, address)
    SELECT n % 20 + 1, n % 5000 + 1, n % 7, 'account-' || n % 5000 + 1 FROM generate_series(1, 50000) AS n
    ON CONFLICT DO NOTHING;
INSERT INTO balances (token_id, account_id, amount, address)
    VALUES (1, 9000, 5, 'g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5');
ANALYZE tokens, accounts, transfers, balances;
"""


@pytest.fixture
def many() -> None:
    """Enough rows, and statistics of them, for PostgreSQL to plan as it would on the large tables of a real chain."""
    with connection.cursor() as cursor:
        cursor.execute(MANY)


@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ({}, ["transfers_pkey"]),
        ({"address": "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"}, ["transfer_from", "transfer_to"]),
        ({"token": "gno.land/r/many.T3.0000000"}, ["transfer_token"]),
        ({"token": "gno.land/r/many"}, ["transfer_token"]),
    ],
)
def test_history_is_read_by_indexes(api: Api, many: None, query: Row, indexes: list[str]) -> None:
    first = partial(api.get, HISTORY, limit=5, **query)
    for ask in (first, partial(api.get, first()["next"])):
        plan = plan_of(ask, "FROM transfers")
        assert "Seq Scan on transfers" not in plan, plan
        assert all(index in plan for index in indexes), plan


@pytest.mark.parametrize("token", ["gno.land/r/many.T3.0000000", "gno.land/r/many"])
def test_holders_are_read_by_their_index_from_the_cursor_on(api: Api, many: None, token: str) -> None:
    first = partial(api.get, f"/tokens/{token}/balances", limit=5)
    for ask in (first, partial(api.get, first()["next"])):
        plan = plan_of(ask, "FROM balances")
        assert "balance_holders" in plan, plan
        assert "Seq Scan on balances" not in plan, plan


def test_what_an_account_holds_is_read_by_its_index(api: Api, many: None) -> None:
    ask = partial(api.get, "/tokens/balances", address="g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5")
    plan = plan_of(ask, 'FROM "balances"')
    assert "balances_pkey" in plan, plan
    assert "Seq Scan on balances" not in plan, plan


def plan_of(ask: Callable[[], object], part: str) -> str:
    """The plan of the query with `part` in it."""
    with CaptureQueriesContext(connection) as captured:
        ask()
    (query,) = (query["sql"] for query in captured.captured_queries if part in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(line for (line,) in cursor.fetchall())
