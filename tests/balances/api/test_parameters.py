"""Parameters: what is refused, by name, and what means the same."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.http import QueryDict

from balances.api.params import parsing
from replay.recording import Recording
from tests.balances.api.client import LISTS, Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

ADDRESS = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
TOKEN = "gno.land/r/demo/defi/foo20"
HISTORY = "/tokens/transfer-history"


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "alice"),
        ("address", "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf4"),
        ("address", "a\x00b"),
        ("address", "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")),
        ("address", "g" * 10_000),
        ("limit", ""),
        ("limit", "0"),
        ("limit", "-1"),
        ("limit", "1001"),
        ("limit", "1.0"),
        ("limit", "ten"),
        ("limit", "\u0661\u0660"),
        ("limit", "9" * 5000),
        ("cursor", "x"),
        ("cursor", "W10"),
        ("cursor", "é"),
        ("cursor", "\x00"),
        ("cursor", "A" * 5000),
        ("amounts", "number"),
        ("amounts", ""),
        ("adress", ADDRESS),
        ("offset", "10"),
        ("<script>", "1"),
        ("format", "xml"),
        ("format", ""),
    ],
)
def test_a_malformed_parameter_is_refused_by_name(api: Api, path: str, name: str, value: str) -> None:
    problem = api.problem(path, 400, **{name: value})
    assert problem["parameter"] == (repr(name) if name in ("adress", "offset", "<script>") else name)
    assert problem["detail"].startswith(problem["parameter"])
    assert len(problem["detail"]) < 600


@pytest.mark.parametrize("path", LISTS)
def test_a_parameter_given_twice_is_refused(api: Api, path: str) -> None:
    assert api.problem(f"{path}?limit=1&limit=2", 400)["parameter"] == "limit"


@pytest.mark.parametrize("value", ["", "all", "ZERO"])
def test_include_knows_zero_only(api: Api, value: str) -> None:
    assert api.problem("/tokens/balances", 400, include=value)["parameter"] == "include"
    assert api.problem("/tokens/transfer-history", 400, include="zero")["parameter"] == "'include'"


def test_a_malformed_token_filter_is_refused(api: Api) -> None:
    assert api.problem("/tokens/transfer-history", 400, token="a\x00b")["parameter"] == "token"
    assert api.problem("/tokens/transfer-history", 400, token="x" * 513)["parameter"] == "token"
    assert api.problem("/tokens/transfer-history", 400, token=" ")["parameter"] == "token"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("type", ["", "mints", "mint,", "MINT", "mint,mint;burn"]),
        ("direction", ["", "both", "IN"]),
        ("counterparty", ["alice", f"{ADDRESS},{ADDRESS}"]),
        ("fromHeight", ["", "-1", "1.5", "x", str(2**63 - 1), "9" * 30, "\u0661"]),
        ("toHeight", ["", "-1", "+5", " 5"]),
        ("minAmount", ["", "-1", "1e3", "9" * 79]),
        ("order", ["", "ASC", "newest"]),
        ("standard", ["", "1", "yes", "True"]),
        ("address", [f"{ADDRESS},", f",{ADDRESS}", f"{ADDRESS},alice", f"{ADDRESS} "]),
        ("token", ["a,", "a,\x00", ",".join(["a"] * 21)]),
        (
            "fromTime",
            [
                "",
                "now",
                "2026-08-07",
                "2026-08-07T12:00:00",
                "2026-08-07T12:00:00 02:00",
                "2026-02-30T12:00:00Z",
                "2026-08-07T24:00:00Z",
                "0000-01-01T00:00:00Z",
                "0001-01-01T00:00:00+05:00",
                "9999-12-31T23:59:59-05:00",
                "-1",
                "1786104000000",
                "999999999999",
                "1e9",
                "20260807T120000Z",
                "2026-W32-5T12:00:00Z",
            ],
        ),
    ],
)
def test_a_malformed_filter_is_refused_by_name(api: Api, name: str, values: list[str]) -> None:
    also = {"address": ADDRESS} if name in ("direction", "counterparty") else {}
    for value in values:
        problem = api.problem(HISTORY, 400, **also, **{name: value})
        assert problem["parameter"] == name, value
        assert problem["detail"].startswith(f"{name}: ")


def test_at_most_twenty_values_and_each_counts_once(gnotest: Recording, api: Api) -> None:
    busy = sorted({row["toAddress"] for row in api.rows(HISTORY, limit=1000)} - {""})[:20]
    assert len(busy) == 20
    assert api.get(HISTORY, address=",".join(busy))["transfers"]
    assert "21 values" in api.problem(HISTORY, 400, address=",".join([*busy, ADDRESS]))["detail"]
    twice = api.get(HISTORY, address=f"{busy[0]},{busy[1]},{busy[0]}", limit=1)
    other = api.get(HISTORY, address=f"{busy[1]},{busy[0]}", limit=1)
    assert twice["transfers"] == other["transfers"]
    cursor = twice["next"].split("cursor=")[1].split("&")[0]
    assert api.get(HISTORY, address=f"{busy[1]},{busy[0]}", cursor=cursor)["transfers"], (
        "one list, however it is written"
    )


@pytest.mark.parametrize(
    "time",
    [
        "1786104000",
        "1786104000.000000",
        "2026-08-07T12:00:00Z",
        "2026-08-07t12:00:00.000z",
        "2026-08-07 12:00:00Z",
        "2026-08-07T14:00:00+02:00",
        "2026-08-07T09:30:00.000000999-02:30",
    ],
)
def test_a_time_may_be_written_in_many_ways(time: str) -> None:
    said = parsing.time(QueryDict(f"at={quote(time)}"), "at")
    assert said == datetime(2026, 8, 7, 12, tzinfo=UTC)


def test_a_time_is_exact_to_the_microsecond() -> None:
    said = parsing.time(QueryDict("at=1786104000.1234567"), "at")
    assert said == datetime(2026, 8, 7, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("name", ["direction", "counterparty"])
def test_what_is_about_an_account_needs_one(api: Api, name: str) -> None:
    value = {"direction": "in", "counterparty": ADDRESS}[name]
    assert "without an address" in api.problem(HISTORY, 400, **{name: value})["detail"]
    assert api.get(f"/accounts/{ADDRESS}/transfers", **{name: value})["transfers"] == []


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (LISTS[0], ["type", "direction", "counterparty", "fromHeight", "toTime", "order", "search"]),
        (LISTS[1], ["token", "type", "direction", "counterparty", "fromHeight", "toTime", "order", "search"]),
        (HISTORY, ["include", "search"]),
        ("/tokens", ["address", "minAmount", "include", "order"]),
        (f"/tokens/{TOKEN}", ["search", "address"]),
        (f"/tokens/{TOKEN}/holders", ["address", "token"]),
        (f"/tokens/{TOKEN}/transfers", ["token", "include"]),
        (f"/accounts/{ADDRESS}", ["limit", "cursor", "token"]),
        (f"/accounts/{ADDRESS}/balances", ["address", "type"]),
        (f"/accounts/{ADDRESS}/transfers", ["address", "include"]),
    ],
)
def test_a_filter_that_makes_no_sense_somewhere_is_refused_there(api: Api, path: str, names: list[str]) -> None:
    for name in names:
        problem = api.problem(path, 400, **{name: "x"})
        assert problem["parameter"] == repr(name)
        assert "there is no such parameter here. Allowed are " in problem["detail"]


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_address_is_none(gnotest: Recording, api: Api, path: str) -> None:
    assert api.rows(path, address="", limit=50) == api.rows(path, cursor="")
    assert api.rows("/tokens/transfer-history", token="") == api.rows("/tokens/transfer-history")


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_address_has_nothing(gnotest: Recording, api: Api, path: str) -> None:
    body = api.get(path, address="g15vj5q08amlvyd0nx6zjgcvwq2d0gt9fcchrvum")
    assert [value for value in body.values() if isinstance(value, list)] == [[]]
    assert (body["next"], body["indexedHeight"], body["chainId"]) == (None, 485, "gnotest-1")


@pytest.mark.parametrize("path", LISTS)
def test_a_page_has_100_rows_unless_told(gnotest: Recording, api: Api, path: str) -> None:
    rows = api.rows(path)
    assert next(api.pages(path)) == rows[:100]
    assert next(api.pages(path, limit=1000)) == rows[:1000]


def test_amounts_can_be_strings(gnotest: Recording, api: Api) -> None:
    for path in LISTS:
        numbers, strings = api.rows(path, limit=1000), api.rows(path, limit=3, amounts="string")
        assert [row | {"amount": str(row["amount"])} for row in numbers] == strings
    body = api.get("/tokens/balances", limit=1, amounts="string")
    assert "amounts=string" in body["next"]


@pytest.mark.parametrize("path", LISTS)
def test_a_trailing_slash_is_optional(gnotest: Recording, api: Api, path: str) -> None:
    plain, slashed = api.get(path, limit=1), api.get(f"{path}/", limit=1)
    assert plain | {"next": None} == slashed | {"next": None}


def cursor_of(api: Api, path: str, **query: object) -> str:
    url: str = api.get(path, limit=2, **query)["next"]
    return url.split("cursor=")[1].split("&")[0]


def tampered(cursor: str, index: int, value: object) -> str:
    body = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    body[index] = value
    return base64.urlsafe_b64encode(json.dumps(body, separators=(",", ":")).encode()).decode().rstrip("=")


def test_a_cursor_of_another_route_or_filter_is_refused(gnotest: Recording, api: Api) -> None:
    busy = api.get("/tokens/transfer-history", limit=1)["transfers"][0]["toAddress"]
    cursors = {
        (path, address): cursor_of(api, path, **({"address": address} if address else {}))
        for path in LISTS
        for address in ("", busy)
        if not (address and path == LISTS[1])
    }
    for (path, address), cursor in cursors.items():
        for (other, filtered), foreign in cursors.items():
            query = {"address": address} if address else {}
            if (path, address) == (other, filtered):
                api.get(path, cursor=cursor, limit=3, **query)
            else:
                assert "another route" in api.problem(path, 400, cursor=foreign, **query)["detail"]
    zero = cursor_of(api, LISTS[0], include="zero")
    assert "other filters" in api.problem(LISTS[0], 400, cursor=zero)["detail"]


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("value", [None, True, 1.5, -1, 2**63, "x" * 5000, "a\x00b", "\ud800", [], {}, 10**90, "1"])
def test_a_tampered_cursor_is_refused_or_moves_the_page(gnotest: Recording, api: Api, path: str, value: object) -> None:
    cursor = cursor_of(api, path)
    values = len(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))
    for index in range(values):
        response = api.client.get(path, {"cursor": tampered(cursor, index, value)})
        assert response.status_code in (200, 400), (index, value)
        if index < 2 or value is None or isinstance(value, bool | float | list | dict):
            assert response.status_code == 400
    for broken in (cursor[:-1], cursor + "A", cursor + "=", cursor[1:], cursor.swapcase()):
        assert api.problem(path, 400, cursor=broken)["parameter"] == "cursor"
