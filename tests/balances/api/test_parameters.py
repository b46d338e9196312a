"""Parameters: what is refused, by name, and what means the same."""

import base64
import json

import pytest

from replay.recording import Recording
from tests.balances.api.asking import LISTS, Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

ADDRESS = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"


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
