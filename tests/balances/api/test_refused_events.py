"""`/events/refused`: every event that was refused, by reason, emitter, type and height, page by page."""

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection

from balances.api.params.requests import scope_of
from events.models import RefusedEvent
from events.parsing.grc20 import REASONS
from events.refused import search
from events.refused.search import RefusedEventFilters
from replay.recording import Recording
from tests.balances.api.client import Api, Row
from tests.balances.api.explain import plan_of
from tests.balances.api.test_pages import PROGRESS_AND_VERSION

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

PATH = "/events/refused"


def place(row: Row) -> tuple[int, int, int]:
    return row["blockHeight"], row["txIndex"], row["eventIndex"]


def test_every_refused_event_of_the_chain_is_there_as_it_was_emitted(gnotest: Recording, api: Api) -> None:
    rows = api.rows(PATH, limit=7)
    assert [place(row) for row in rows] == sorted(map(place, rows), reverse=True)
    assert Counter(row["reason"] for row in rows) == Counter(RefusedEvent.objects.values_list("reason", flat=True))
    emitted = {(row["block_height"], row["index"]): row for row in gnotest.transactions}
    for row in rows:
        transaction = emitted[row["blockHeight"], row["txIndex"]]
        event = transaction["response"]["events"][row["eventIndex"]]
        assert row["txHash"] == transaction["hash"]
        assert (row["type"], row["emitter"]) == (event["type"], event["pkg_path"])
        assert row["attributes"] == event["attrs"]
        assert row["detail"]


@pytest.mark.parametrize(
    "query",
    [
        {"reason": "foreign_emitter"},
        {"reason": "no_realm,not_fungible,allowance"},
        {"reason": "allowance,allowance"},
        {"type": "Transfer"},
        {"fromHeight": 100},
        {"toHeight": 200},
        {"fromHeight": 100, "toHeight": 300, "reason": "malformed_amount,foreign_emitter", "type": "Transfer"},
        {"emitter": "gno.land/p/demo/tokens/grc20"},
        {"emitter": "gno.land/p/demo/tokens/grc20", "reason": "allowance", "toHeight": 300},
        {"emitter": "gno.land/p/demo/tokens/grc20", "type": "Approval"},
        {"emitter": "gno.land/r/nobody"},
    ],
)
def test_filters_leave_what_they_name_in_either_order(gnotest: Recording, api: Api, query: Row) -> None:
    reasons = str(query.get("reason", ",".join(REASONS))).split(",")

    def wanted(row: Row) -> bool:
        return (
            row["reason"] in reasons
            and row["type"] == query.get("type", row["type"])
            and row["emitter"] == query.get("emitter", row["emitter"])
            and query.get("fromHeight", 0) <= row["blockHeight"] <= query.get("toHeight", 485)
        )

    expected = [row for row in api.rows(PATH, limit=1000) if wanted(row)]
    assert expected or query["emitter"] == "gno.land/r/nobody"
    for limit in (1, 3, 1000):
        assert api.rows(PATH, limit=limit, **query) == expected
        assert api.rows(PATH, limit=limit, order="asc", **query) == expected[::-1]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"reason": "because"}, "reason"),
        ({"reason": ""}, "reason"),
        ({"order": "up"}, "order"),
        ({"fromHeight": "-1"}, "fromHeight"),
        ({"emitter": "x" * 4097}, "emitter"),
        ({"type": "a\x00b"}, "type"),
        ({"address": "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"}, "'address'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(api: Api, query: Row, parameter: str) -> None:
    problem = api.problem(PATH, 400, **query)
    assert problem["parameter"] == parameter
    assert all(reason in problem["detail"] for reason in REASONS) or parameter != "reason"


def test_a_cursor_is_for_its_own_filters(gnotest: Recording, api: Api) -> None:
    cursor = api.get(PATH, limit=1)["next"].split("cursor=")[1]
    assert api.problem(PATH, 400, reason="allowance", cursor=cursor)["parameter"] == "cursor"


def put(count: int, **fields: Any) -> None:
    known = {"tx_index": 0, "event_index": 0, "emitter": "gno.land/r/many", "type": "t", "reason": "no_realm"}
    RefusedEvent.objects.bulk_create(
        RefusedEvent(block_height=10_000 + n, **{**known, "detail": str(n), **fields}) for n in range(count)
    )


def test_looking_for_what_no_index_has_is_bounded_and_ends(
    gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SCANNED", 20)
    put(50)
    put(1, event_index=1, type="rare")
    pages = list(api.pages(PATH, type="rare", limit=5))
    assert [len(page) for page in pages[:4]] == [0, 0, 1, 0], "three pages of twenty rows, the rare one oldest of them"
    assert [place(row) for page in pages for row in page] == [(10_000, 0, 1)]
    assert len(pages) == -(-RefusedEvent.objects.count() // 20)
    assert api.rows(PATH, type="rare", order="asc", limit=5) == [row for page in pages for row in page]


def test_what_is_no_unicode_is_spelled_out(gnotest: Recording, api: Api) -> None:
    put(1, attributes=[["\ud800", "a\x00b"], ["", "ok"]])
    put(1, event_index=1, attributes=None)
    put(1, event_index=2, attributes=[])
    empty, none, strange = api.rows(PATH, emitter="gno.land/r/many")
    assert (empty["attributes"], none["attributes"]) == ([], None)
    assert strange["attributes"] == [{"key": r"\ud800", "value": r"a\u0000b"}, {"key": "", "value": "ok"}]


def test_all_of_them_come_as_lines_too(gnotest: Recording, api: Api) -> None:
    rows = api.rows(PATH, reason="foreign_emitter,allowance")
    response = api.client.get(PATH, {"reason": "foreign_emitter,allowance", "format": "csv"})
    text = response.getvalue().decode()
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [int(line["blockHeight"]) for line in lines] == [row["blockHeight"] for row in rows]
    assert [json.loads(line["attributes"]) for line in lines] == [row["attributes"] for row in rows]
    response = api.client.get(PATH, {"reason": "foreign_emitter,allowance", "format": "ndjson"})
    assert [json.loads(line) for line in response.getvalue().splitlines()] == rows


MANY = """
INSERT INTO refused_events (block_height, tx_index, event_index, emitter, type, reason, detail)
    SELECT n, 0, 0, 'gno.land/r/e' || n % 50, 't' || n % 3,
           CASE WHEN n % 5000 = 0 THEN 'no_token' ELSE 'allowance' END, ''
    FROM generate_series(20001, 50000) AS n;
ANALYZE refused_events;
"""


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "refused_event_position_unique"),
        ({"type": "t1"}, "refused_event_position_unique"),
        ({"fromHeight": 30000, "toHeight": 30100}, "refused_event_position_unique"),
        ({"reason": "no_token"}, "refused_event_reason"),
        ({"reason": "no_token,allowance", "toHeight": 30000}, "refused_event_reason"),
        ({"emitter": "gno.land/r/e7"}, "refused_event_emitter"),
        ({"emitter": "gno.land/r/e7", "reason": "no_token", "fromHeight": 30000}, "refused_event_emitter"),
    ],
)
def test_pages_are_read_by_an_index_and_cost_one_query(
    gnotest: Recording,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Callable[[int], Any],
    query: Row,
    index: str,
) -> None:
    monkeypatch.setattr(search, "SCANNED", 50)  # as small beside this table as it is beside a real one
    with connection.cursor() as cursor:
        cursor.execute(MANY)
    for order in ("desc", "asc"):
        first = partial(api.get, PATH, limit=2, order=order, **query)
        following = first()["next"]
        for ask in (first, partial(api.get, following) if following else first):
            plan = plan_of(ask, "FROM refused_events")
            assert index in plan, plan
            assert "Seq Scan on refused_events" not in plan, plan
            with django_assert_num_queries(PROGRESS_AND_VERSION + 1):
                ask()


def test_cursor_scope_of_refused_events_keeps_the_name_of_older_cursors() -> None:
    filters = RefusedEventFilters(emitter="r/a", ascending=True)
    assert scope_of("refused", filters) == (
        "refused Wanted(reasons=(), emitter='r/a', type=None, from_height=None, to_height=None, ascending=True)"
    )
