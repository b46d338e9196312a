"""What reading the past costs: rows of `transfers` that are looked at, whatever the length of the history."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from balances.history import checkpoints, point_in_time
from balances.history.statement_sql import PAGE, Part, balances_of
from balances.queries.filters import BalanceFilters, When
from balances.queries.historical import holders
from balances.queries.page import PageRequest
from tests.balances.history_factories import walk

pytestmark = [pytest.mark.django_db, pytest.mark.db]

STRETCH = 50
BUSY, RARE = 1, 20
MOVEMENTS = 12_000
LAST = MOVEMENTS // 4

# Of each height's four transfers one is from or to the busy account: were all of them, the planner could as well read
# the heights, whoever's they are, and sometimes did. Every hundredth is a mint, every thousandth of the rare token.
HISTORY = f"""
INSERT INTO chain (id, chain_id, first_block_hash, start_height, coverage, tip)
    VALUES (1, 'bounds', '', 0, int8multirange(int8range(0, {LAST + 1})), {LAST});
INSERT INTO tokens (id, path, realm, key, standard)
    SELECT n, 'gno.land/r/t' || lpad(n::text, 2, '0'), 'gno.land/r/t' || n, 't' || n, true
    FROM generate_series(1, 20) AS n;
INSERT INTO accounts (id, address) SELECT n, 'g1' || n FROM generate_series(1, 500) AS n;
INSERT INTO transfers
    (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)
    SELECT n / 4, n % 4, 0, CASE WHEN n % 1000 = 0 THEN 20 ELSE n % 19 + 1 END,
           CASE WHEN n % 100 = 0 THEN NULL WHEN n % 8 = 4 THEN 1 ELSE n % 499 + 2 END,
           CASE WHEN n % 100 = 0 OR n % 8 = 0 THEN 1 WHEN n % 8 = 4 THEN n % 499 + 2 ELSE n % 487 + 2 END, 1
    FROM generate_series(0, {MOVEMENTS} - 1) AS n;
INSERT INTO balances (token_id, account_id, amount)
    SELECT token_id, account_id, 1 FROM generate_series(1, 20) AS token_id, generate_series(1, 500) AS account_id;
"""


@pytest.fixture(autouse=True)
def _history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", STRETCH)
    with connection.cursor() as cursor:
        cursor.execute(HISTORY)
        walk()
        cursor.execute("ANALYZE transfers, balances, checkpoint_marks, balance_checkpoints, tokens, accounts")


def looked_at(work: Callable[[], object]) -> int:
    """Rows of `transfers` that the statements of `work` read, wanted or not."""
    with CaptureQueriesContext(connection) as captured:
        work()
    rows = 0
    for query in captured.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query['sql']}")
            (plan,) = cursor.fetchone()
        for node in nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]):
            if node.get("Relation Name") == "transfers":
                kept = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
                rows += round(kept * node["Actual Loops"])
                assert node["Node Type"] != "Seq Scan", query["sql"]
            assert not (node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "balances"), query["sql"]
    return rows


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


def test_a_balance_costs_less_than_a_stretch() -> None:
    for height in (0, 7, 1234, LAST - 1, LAST):
        assert looked_at(lambda at=height: point_in_time.amounts_at(at, [(BUSY, 3)])) < STRETCH  # type: ignore[misc]  # a lambda in a loop
    assert looked_at(lambda: point_in_time.amounts_at(LAST - 9, [(BUSY, token) for token in range(1, 21)])) < STRETCH
    assert looked_at(lambda: point_in_time.supplies_at(2000, range(1, 21))) < STRETCH


def test_a_series_costs_less_than_a_stretch_for_each_point_and_reads_nothing_twice() -> None:
    far, near = range(100, LAST, 500), range(3000, 3000 + STRETCH // 4)
    assert looked_at(lambda: point_in_time.points(BUSY, 3, far)) < STRETCH * len(far)
    assert looked_at(lambda: point_in_time.points(BUSY, 3, near)) < 3 * STRETCH


def test_a_statement_reads_the_stretches_that_it_tells_of() -> None:
    def page(token: int, most: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute(PAGE, Part(BUSY, token, 0, LAST, (1500, 0, 0)).values(most))
            assert len(cursor.fetchall()) == most

    assert looked_at(lambda: page(3, 11)) < STRETCH * 8
    assert looked_at(lambda: page(RARE, 5)) < STRETCH * 8, "of thirty stretches"
    assert looked_at(lambda: balances_of(Part(BUSY, RARE, 100, LAST, (1500, 0, 0)))) < 3 * STRETCH + 8


def test_holders_of_then_cost_less_than_a_stretch_each() -> None:
    wanted = BalanceFilters(tokens=("gno.land/r/t03",), when=When(height=2500), include_zero=True)
    assert holders(wanted, PageRequest(10)).rows
    assert looked_at(lambda: holders(wanted, PageRequest(10))) < STRETCH * 11
    assert looked_at(lambda: holders(wanted, PageRequest(10, ("gno.land/r/t03", 250)))) < STRETCH * 11
