"""Whole lists in one answer: every row of one snapshot, one page held at a time, and never silently short."""

import csv
import io
import re
import threading
import zlib
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from pytest_django import Settings

from balances.api import long_request_slots
from balances.api.responses import export
from balances.queries import transfers
from replay.recording import Recording
from tests.balances.api.client import LISTS, Api, Row
from tests.balances.api.export_client import HISTORY, leave, parts_of, rows_of, start

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FACTORY = "gno.land/r/demo/defi/grc20factory"
MORE = (
    "/tokens",
    f"/tokens/{FACTORY}",
    f"/tokens/{FACTORY}/holders",
    f"/tokens/{FACTORY}/transfers",
    "/events/refused",
)


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 40)


@pytest.mark.usefixtures("_small_pages")
@pytest.mark.parametrize("path", [*LISTS, *MORE])
def test_lines_are_the_rows_of_all_pages(gnotest: Recording, api: Api, path: str) -> None:
    rows = api.rows(path, limit=1000)
    assert len(rows) > 2
    busy: dict[str, str] = (
        {"address": rows[0].get("toAddress") or rows[0].get("address") or ""} if path in LISTS else {}
    )
    queries: list[dict[str, str]] = [{}, {"amounts": "string"}, busy]
    for query in queries:
        expected = api.rows(path, limit=1000, **query)
        response = api.client.get(path, query, headers={"Accept": "application/x-ndjson"})
        assert response["Content-Type"] == "application/x-ndjson; charset=utf-8"
        assert rows_of(response.getvalue()) == expected
        response = api.client.get(path, {"format": "csv"} | query)
        assert response["Content-Type"] == "text/csv; charset=utf-8"
        table = list(csv.DictReader(io.StringIO(response.getvalue().decode(), newline=""), strict=True))
        assert len(table) == len(expected)
        for line, row in zip(table, expected, strict=True):
            assert row.keys() <= line.keys()
            for name in row.keys() & {"amount", "blockHeight", "tokenPath", "fromAddress", "toAddress", "holders"}:
                assert line[name] == str(row[name])


def test_lines_say_by_headers_how_far_they_are_true(gnotest: Recording, client: Client) -> None:
    body = client.get(HISTORY, {"limit": 1}).json()
    for url in (f"{HISTORY}?format=csv", f"{HISTORY}?format=csv&limit=1"):
        response = client.get(url)
        said = [response[f"X-{name}"] for name in ("Chain-Id", "Indexed-Height", "Includes-Up-To", "Accepted-Gaps")]
        assert said == [body["chainId"], str(body["indexedHeight"]), str(body["includesUpTo"]), "0"]
        assert response["X-First-Height"] == ("" if body["firstHeight"] is None else str(body["firstHeight"]))
        etag = response["ETag"]
        leave(response)
        again = client.get(url, headers={"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")


def test_with_a_limit_lines_are_a_page_with_its_way_on(gnotest: Recording, api: Api) -> None:
    page = api.get(HISTORY, limit=7)
    response = api.client.get(HISTORY, {"limit": "7", "format": "ndjson"})
    assert rows_of(response.content) == page["transfers"]
    following = response["Link"].removeprefix("<").removesuffix('>; rel="next"')
    assert rows_of(api.client.get(following).content) == api.get(page["next"])["transfers"]
    whole = api.client.get(re.sub("&limit=7|limit=7&", "", following)).getvalue()
    assert rows_of(whole) == api.rows(HISTORY, limit=1000)[7:]


def test_one_page_is_held_at_a_time(gnotest: Recording, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = transfers.transfers

    def counted(*asked: Any) -> Any:
        page = read(*asked)
        sizes.append(len(page.rows))
        return page

    monkeypatch.setattr(transfers, "transfers", counted)
    monkeypatch.setattr(export, "PAGE", 50)
    sent = 0
    for part in parts_of(start(client)):
        sent += len(rows_of(part))
        assert sum(sizes) - sent <= 50, "no page is read before the one before it is sent"
    assert sent == sum(sizes) > 500
    assert max(sizes) == 50


def test_only_so_many_are_sent_at_a_time(gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    one = threading.BoundedSemaphore(1)
    monkeypatch.setattr(long_request_slots, "_places", lambda: one)
    monkeypatch.setattr(export, "PAGE", 20)
    first = start(api.client)
    assert "at a time" in api.problem(HISTORY, 503, format="csv")["detail"]
    assert api.client.get(HISTORY, {"format": "csv"})["Retry-After"] == "5"
    assert api.get(HISTORY, limit=1)["transfers"], "pages go on"
    leave(first)
    assert rows_of(start(api.client).getvalue()) == api.rows(HISTORY, limit=1000)


def unpacked(sent: bytes) -> bytes:
    """What came of an archive that may have no end."""
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(sent)


@pytest.mark.usefixtures("_small_pages")
@pytest.mark.parametrize("form", ["csv", "ndjson"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_list_that_breaks_off_says_so_and_ends_in_an_error(
    gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch, form: str, encoding: str
) -> None:
    whole = api.client.get(HISTORY, {"format": form}).getvalue()
    read, calls = transfers.transfers, []

    def fails_later(*asked: Any) -> Any:
        calls.append(asked)
        if len(calls) == 3:
            raise OperationalError("gone")
        return read(*asked)

    monkeypatch.setattr(transfers, "transfers", fails_later)
    sent = b""
    with pytest.raises(OperationalError):  # noqa: PT012  # what was sent before counts
        for part in parts_of(start(api.client, encoding, format=form)):
            sent += part
    monkeypatch.undo()
    *lines, last = (unpacked(sent) if encoding == "gzip" else sent).splitlines(keepends=True)
    head = whole.split(b"\r\n")[0] + b"\r\n" if form == "csv" else b""
    assert len(lines) == 80 + bool(head)
    assert whole.startswith(b"".join(lines))
    assert b"incomplete" in last
    (following,) = (word for word in last.decode().replace('"', ",").split(",") if word.startswith("http"))
    rest = api.client.get(following.strip()).getvalue().removeprefix(head)
    assert b"".join(lines) + rest == whole


def test_a_failure_before_the_first_line_is_an_error_like_any_other(
    gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise OperationalError("gone")

    monkeypatch.setattr(transfers, "transfers", fails)
    assert api.problem(HISTORY, 503, format="csv")["status"] == 503


@pytest.mark.usefixtures("_small_pages")
def test_a_list_that_takes_too_long_ends_with_a_word_and_the_way_on(
    gnotest: Recording, api: Api, settings: Settings
) -> None:
    whole = api.rows(HISTORY, limit=1000)
    settings.WHOLE_LIST_SECONDS = -1
    url = f"{HISTORY}?format=ndjson"
    sent: list[Row] = []
    while url:
        *rows, last = rows_of(api.client.get(url).getvalue())
        sent += rows
        url = last["next"] if "incomplete" in last else ""
        sent += [] if url else [last]
    assert sent == whole


@pytest.mark.parametrize("accept", ["text/csv", "application/x-ndjson"])
def test_errors_are_json_whatever_was_asked_for(client: Client, accept: str) -> None:
    response = client.get(HISTORY, {"limit": 0}, headers={"Accept": accept})
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert response.json()["parameter"] == "limit"


def test_an_answer_about_one_thing_has_no_lines(api: Api) -> None:
    path = "/accounts/g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
    assert api.problem(path, 400, format="csv")["parameter"] == "format"
    assert api.client.get(path, headers={"Accept": "text/csv"}).status_code == 406
