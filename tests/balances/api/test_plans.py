"""How much one answer reads: bounded, whatever is asked for and however much there is, and never a large table whole.

Each statement is explained and run (EXPLAIN ANALYZE); what its scans touch is added up. A page may look through `SCAN`
rows here, a small part of every large table.
"""

from collections import defaultdict
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from balances.queries import account_balances, account_summary, holders, token_list, transfers
from tests.balances.api.client import Api
from tests.balances.api.explain import done, plan_of, reading

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

SCAN, LOOKED_UP, LIMIT = 400, 200, 5
RARE, BUSY = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5", "g15vj5q08amlvyd0nx6zjgcvwq2d0gt9fcchrvum"
SEVERAL = f"{RARE},{BUSY}"
MANY, CROWD, HOST = "gno.land/r/many", "gno.land/r/crowd", "gno.land/r/host"
LARGEST = ("transfers", "balances", "blocks", "transactions")
LARGE = (*LARGEST, "accounts", "announcements", "token_totals", "tokens")

FILL = f"""
INSERT INTO tokens (id, path, realm, key, standard)
    SELECT n, '{MANY}.T' || n || '.0000000', '{MANY}', '{MANY}.T' || n, n <> 7 FROM generate_series(1, 20) AS n
    UNION ALL
    SELECT n, '{CROWD}.C.' || lpad(n::text, 7, '0'), '{CROWD}', '{CROWD}.C', n % 100 = 0
    FROM generate_series(21, 40000) AS n
    UNION ALL
    SELECT 50000 + n, realm || '.S' || n || '.0000000', realm, realm || '.S' || n, true
    FROM generate_series(1, 5000) AS n,
         LATERAL (SELECT '{HOST}' || coalesce('#' || nullif(n % 50, 0), '')) AS of (realm);
INSERT INTO accounts (id, address)
    SELECT n, 'account-' || n FROM generate_series(1, 5000) AS n
    UNION ALL VALUES (9000, '{RARE}'), (9001, '{BUSY}');
-- 40,000 of twenty tokens, a third of them from the busy account, and one of each of the others
INSERT INTO transfers
    (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)
    SELECT n, n % 3, 0, n % 20 + 1,
           CASE WHEN n % 1000 = 0 THEN NULL WHEN n % 500 = 3 THEN 9000 WHEN n % 3 = 0 THEN 9001 ELSE n % 4999 + 1 END,
           CASE WHEN n % 1000 = 1 THEN NULL ELSE n % 4998 + 1 END, n % 100
    FROM generate_series(1, 40000) AS n
    UNION ALL
    SELECT 40000 + n, 0, 0, n, NULL, 9001, 1000 FROM generate_series(21, 6000) AS n;
INSERT INTO announcements (block_height, tx_index, event_index, token_id, name, symbol, decimals)
    SELECT n, 0, 1, CASE WHEN n % 2 = 0 THEN 5 ELSE n END, 'Name ' || n, 'S' || n, 6 FROM generate_series(1, 6000) AS n;
ANALYZE tokens, accounts, transfers;  -- else what PostgreSQL saw of them when they were empty decides how it joins
INSERT INTO balances (token_id, account_id, amount, transfers)
    SELECT token_id, account_id, sum(amount), count(*) FROM (
        SELECT token_id, to_account_id AS account_id, amount FROM transfers WHERE to_account_id IS NOT NULL
        UNION ALL SELECT token_id, from_account_id, 0 FROM transfers WHERE from_account_id IS NOT NULL
    ) AS sides GROUP BY token_id, account_id;
INSERT INTO token_totals (token_id, minted, burned, transfers, holders)
    SELECT id, 1000, 0, coalesce(number, 0), 1 FROM tokens
    LEFT JOIN (SELECT token_id, count(*) AS number FROM transfers GROUP BY token_id) AS moved ON token_id = id;
INSERT INTO blocks (height, hash, last_block_hash, time, num_txs, total_txs, proposer_address)
    SELECT n, 'hash ' || n, '', to_timestamp(n), 1, n, '' FROM generate_series(1, 46000) AS n;
INSERT INTO transactions
    (block_height, index, hash, success, gas_wanted, gas_used, gas_fee, memo, error, messages, events)
    SELECT block_height, tx_index, 'tx ' || block_height, true, 0, 0, '', '', '', '[]', '[]' FROM transfers;
ANALYZE {", ".join(LARGE)};
"""


@pytest.fixture(scope="module")
def filled(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Enough rows, and statistics of them, for PostgreSQL to plan as it would on the large tables of a real chain."""
    with django_db_blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]  # as Django's TestCase does: durable blocks may nest
        with around:
            with connection.cursor() as cursor:
                cursor.execute(FILL)
            yield
            transaction.set_rollback(True)


@pytest.fixture(autouse=True)
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (account_summary, account_balances, transfers, token_list):
        monkeypatch.setattr(module, "SCAN", SCAN)
    for module in (account_balances, holders, token_list):
        monkeypatch.setattr(module, "LOOKED_UP", LOOKED_UP)


T3, HISTORY = f"{MANY}.T3.0000000", "/tokens/transfer-history"
ASKED: list[tuple[str, dict[str, str]]] = [
    ("/tokens", {}),
    ("/tokens", {"search": "t3"}),
    ("/tokens", {"search": "nothing of the kind"}),
    ("/tokens", {"standard": "true"}),
    (f"/tokens/{T3}", {}),
    (f"/tokens/{MANY}.T5.0000000", {}),
    (f"/tokens/{CROWD}", {}),
    (f"/tokens/{CROWD}.C", {}),
    (f"/tokens/{CROWD}:C", {}),
    (f"/tokens/{HOST}", {}),
    (f"/tokens/{HOST}%2349", {}),
    ("/tokens", {"token": f"{HOST},{CROWD}:C"}),
    ("/tokens/balances", {}),
    ("/tokens/balances", {"minAmount": "100000000"}),
    ("/tokens/balances", {"token": f"{CROWD},{T3}"}),
    ("/tokens/balances", {"address": RARE}),
    ("/tokens/balances", {"address": BUSY}),
    ("/tokens/balances", {"address": SEVERAL, "standard": "false", "minAmount": "5"}),
    ("/tokens/balances", {"address": SEVERAL, "token": CROWD}),
    (f"/tokens/{T3}/balances", {}),
    (f"/tokens/{T3}/balances", {"minAmount": "300"}),
    (f"/tokens/{T3}/balances", {"address": SEVERAL}),
    (f"/tokens/{CROWD}/balances", {}),
    (f"/tokens/{CROWD}:C/balances", {}),
    (f"/tokens/{MANY}:T3/balances", {"address": SEVERAL}),
    (f"/tokens/{HOST}/balances", {}),
    (f"/tokens/{HOST}/balances", {"address": RARE}),
    (HISTORY, {"token": HOST}),
    (HISTORY, {"token": HOST, "address": BUSY}),
    (f"/tokens/{CROWD}/balances", {"standard": "true"}),
    (f"/tokens/{CROWD}/balances", {"address": RARE}),
    (f"/tokens/{MANY}/holders", {}),
    (f"/tokens/{MANY}/holders", {"include": "zero"}),
    (f"/tokens/{T3}/transfers", {}),
    (f"/tokens/{CROWD}/transfers", {}),
    (f"/tokens/{T3}/transfers", {"address": BUSY}),
    (f"/accounts/{BUSY}", {}),
    (f"/accounts/{RARE}", {}),
    (f"/accounts/{BUSY}/balances", {}),
    (f"/accounts/{BUSY}/transfers", {}),
    (HISTORY, {}),
    (HISTORY, {"order": "asc"}),
    (HISTORY, {"type": "mint"}),
    (HISTORY, {"standard": "false"}),
    (HISTORY, {"minAmount": "1000000"}),
    (HISTORY, {"fromHeight": "100", "toHeight": "30000"}),
    (HISTORY, {"fromTime": "100", "toTime": "30000"}),
    (HISTORY, {"token": MANY}),
    (HISTORY, {"token": CROWD}),
    (HISTORY, {"token": T3, "type": "burn"}),
    (HISTORY, {"token": MANY, "fromHeight": "100", "toHeight": "200"}),
    (HISTORY, {"address": RARE}),
    (HISTORY, {"address": BUSY}),
    (HISTORY, {"address": BUSY, "direction": "in"}),
    (HISTORY, {"address": BUSY, "counterparty": RARE}),
    (HISTORY, {"address": BUSY, "token": T3}),
    (HISTORY, {"address": BUSY, "token": MANY, "minAmount": "99"}),
    (HISTORY, {"address": BUSY, "token": CROWD, "order": "asc"}),
    (HISTORY, {"address": SEVERAL, "fromTime": "20000"}),
    (HISTORY, {"address": SEVERAL, "type": "burn,mint"}),
]


@pytest.mark.parametrize(("path", "query"), ASKED, ids=lambda value: str(value).replace("gno.land/r/", ""))
def test_an_answer_reads_a_bounded_number_of_rows(filled: None, api: Api, path: str, query: dict[str, str]) -> None:
    bound = 5 * SCAN  # a row of each of five tables for each that is looked through
    url = path
    listed = path.count("/accounts/") == 0 or path.count("/") > 2
    for page in range(3):
        with CaptureQueriesContext(connection) as captured:
            body = api.get(url, **({} if page else {**({"limit": str(LIMIT)} if listed else {}), **query}))
        for statement in captured.captured_queries:
            for relations, planner in ((LARGE, "off"), (LARGEST, "on")):  # and "on" for the next request
                touched: dict[str, float] = defaultdict(float)
                for relation, rows in reading(done(statement["sql"], planner)):
                    touched[relation] += rows if relation in relations else 0
                assert sum(touched.values()) <= bound, (touched, statement["sql"])
        if not body.get("next"):
            break
        url = body["next"]


@pytest.mark.usefixtures("filled")
def test_what_a_page_of_transfers_shows_of_other_tables_is_read_from_the_indexes_of_their_keys(api: Api) -> None:
    plan = plan_of(lambda: api.get("/tokens/transfer-history", address=BUSY, limit=LIMIT), "named AS")
    for table in ("accounts", "blocks", "transactions"):
        assert f"Index Only Scan using {table}_pkey on {table}" in plan, plan
