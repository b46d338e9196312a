"""What the fast path reads with a plan that was made once, for all values."""

import json
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection

from balances.api import fast_path
from tests.balances.api import test_plans
from tests.balances.api.explain import reading
from tests.balances.api.fast_path_parity import Both
from tests.balances.api.test_plans import ASKED, LARGEST, LIMIT, SCAN

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

filled, little = test_plans.filled, test_plans._little


@pytest.mark.parametrize(("path", "query"), ASKED, ids=lambda value: str(value).replace("gno.land/r/", ""))
def test_a_plan_made_once_reads_a_bounded_number_of_rows(
    filled: None, both: Both, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str]
) -> None:
    statements: list[tuple[str, dict[str, Any]]] = []
    run = fast_path._ask

    def remembered(sql: str, values: dict[str, Any]) -> list[Any]:
        statements.append((sql, values))
        return run(sql, values)

    monkeypatch.setattr(fast_path, "_ask", remembered)
    url = f"{path}?{urlencode({'limit': LIMIT, **query})}"
    for _ in range(3):
        answer, _ = both.same(url)
        if not (url := json.loads(answer.content).get("next")):
            break
    for sql, values in statements:
        assert "%(limit)s" not in sql, "a plan for any number of rows is one for many"
        touched: Counter[str] = Counter()
        for relation, rows in reading(generic_plan_of(sql, values)):
            touched[relation] += int(rows) if relation in LARGEST else 0
        assert touched.total() <= 3 * SCAN + 12 * LIMIT, (touched, sql)


def generic_plan_of(sql: str, values: dict[str, Any]) -> dict[str, Any]:
    """How the statement is carried out by a plan that was made without its values."""
    used = {name: value for name, value in values.items() if f"%({name})s" in sql}
    sql = sql % {name: f"${number}" for number, name in enumerate(used, start=1)}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        raw = connection.connection.cursor()
        raw.execute(f"PREPARE planned AS {sql}".encode())
        arguments = ", ".join(["%s"] * len(used))
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE planned ({arguments})", list(used.values()))
        found = cursor.fetchone()[0]
        cursor.execute("DEALLOCATE planned; SET LOCAL plan_cache_mode = auto")
    (explained,) = json.loads(found) if isinstance(found, str) else found
    plan: dict[str, Any] = explained["Plan"]
    return plan
