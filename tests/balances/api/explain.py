"""How PostgreSQL goes about a statement, and what that reads."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext


def plan_of(ask: Callable[[], object], part: str) -> str:
    """The plan, as text, of the last query of `ask` with `part` in it."""
    with CaptureQueriesContext(connection) as captured:
        ask()
    *_, query = (query["sql"] for query in captured.captured_queries if part in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {query}")
        return "\n".join(line for (line,) in cursor.fetchall())


def done(sql: str, whole_tables: str) -> dict[str, Any]:
    """The plan of a statement that was run; `whole_tables` "off": as if to read a small table whole were never best."""
    with connection.cursor() as cursor:
        for way in ("seqscan", "hashjoin", "mergejoin"):
            cursor.execute(f"SET LOCAL enable_{way} = {whole_tables}")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql.replace('%', '%%')}")
        found = cursor.fetchone()[0]
        (explained,) = json.loads(found) if isinstance(found, str) else found
        plan: dict[str, Any] = explained["Plan"]
        return plan


def reading(plan: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Each scan of the plan with the rows that it touches: those it gives, and those it looks at and leaves out."""
    if "Relation Name" in plan:
        left_out = sum(value for name, value in plan.items() if name.startswith("Rows Removed by"))
        yield plan["Relation Name"], (plan["Actual Rows"] + left_out) * plan["Actual Loops"]
    for part in plan.get("Plans", ()):
        yield from reading(part)
