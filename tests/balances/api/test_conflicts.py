"""Two blocks that do not link: the message, and the routes that do not answer until it is settled."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from balances.indexed_height import read_indexed_height
from balances.stream import pages
from balances.stream.event_ids import end_of
from blocks.models import Chain
from replay.recording import Recording
from tests.balances.api.client import Api
from tests.balances.api.fast_path_parity import HISTORY, Both
from tests.balances.api.test_fast_path import FOO, HOLDER

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

TEXT = "Block 40 follows 'A=', and block 39 is 'B='"
SAID = f'{TEXT}. See "The chain was reset" in docs/operations.md.'

DATA = [
    "/tokens",
    "/tokens/balances",
    f"/tokens/balances?address={HOLDER}",
    f"/tokens/balances?address={HOLDER}&height=20",
    HISTORY,
    f"{HISTORY}?toHeight=10",
    f"/tokens/{FOO}",
    f"/tokens/{FOO}/balances",
    f"/tokens/{FOO}/holders",
    f"/tokens/{FOO}/transfers",
    f"/accounts/{HOLDER}",
    f"/accounts/{HOLDER}/balances",
    f"/accounts/{HOLDER}/transfers",
    f"/accounts/{HOLDER}/tokens/{FOO}/series",
    f"/accounts/{HOLDER}/tokens/{FOO}/statement",
    "/transactions/bs6IgCvzDBPt6EC0gNM40-XfLX2gf1keAXQayrkTTyU",
    "/blocks/10",
    "/events/refused",
]


def contradict(*, stored: bool) -> None:
    Chain.objects.update(conflict=TEXT, conflict_height=40, conflict_stored=stored, first_height=1)


@pytest.mark.parametrize("url", DATA)
def test_nothing_is_answered_from_blocks_that_contradict_each_other(gnotest: Recording, api: Api, url: str) -> None:
    etag = api.client.get(url).headers["ETag"]
    contradict(stored=True)
    mark = "&" if "?" in url else "?"
    for asked, headers in (
        (url, {}),
        (f"{url}{mark}minHeight=9999", {"Prefer": "wait=10"}),
        (url, {"If-None-Match": etag}),
        (url, {"If-None-Match": "*"}),
    ):
        response = api.client.get(asked, headers=headers)
        problem = response.json()
        assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")
        assert (problem["detail"], problem["indexedHeight"], response["Retry-After"]) == (SAID, 39, "5")


def test_whole_lists_and_lines_are_not_sent(gnotest: Recording, client: Client) -> None:
    contradict(stored=True)
    for form in ("csv", "ndjson"):
        for more in ("", "&limit=1"):
            assert client.get(f"{HISTORY}?format={form}{more}").status_code == 503


def test_service_routes_and_commands_answer_and_say_it(gnotest: Recording, client: Client) -> None:
    contradict(stored=True)
    assert client.get("/health").status_code == 200
    said = client.get("/status").json()
    assert (said["conflict"], said["notReady"], said["indexedHeight"]) == (SAID, SAID, 39)
    assert client.get("/ready").json()["detail"] == SAID
    assert client.get("/schema").status_code == 200
    out = StringIO()
    call_command("gaps", "list", stdout=out)
    call_command("status", stdout=out)
    assert SAID in out.getvalue()


@pytest.mark.parametrize("url", [f"/tokens/balances?address={HOLDER}", HISTORY, f"/tokens/{FOO}/balances"])
def test_the_fast_lane_leaves_it_to_django(gnotest: Recording, both: Both, url: str) -> None:
    known, alone = both.same(url)
    assert alone
    contradict(stored=True)
    for headers in ({}, {"If_None_Match": known["ETag"]}):
        answer, alone = both.same(url, **headers)
        assert (answer.status, alone) == ("503 Service Unavailable", False)


def test_what_a_source_shows_and_is_not_stored_takes_nothing_back(gnotest: Recording, api: Api) -> None:
    contradict(stored=False)
    body: dict[str, Any] = api.get(HISTORY, limit=1)
    assert (body["indexedHeight"], body["firstHeight"]) == (gnotest.heights[-1], 1)
    assert api.problem("/ready", 503)["detail"] == SAID
    assert read_indexed_height().conflict == TEXT


def test_the_stream_sends_nothing_from_the_upper_block_on(gnotest: Recording) -> None:
    contradict(stored=True)
    page = pages.read_all(end_of(-1), [])
    assert page.end == end_of(39)
    assert not page.more
    assert pages.read_all(end_of(100), []).transfers == []


@pytest.mark.parametrize(("first", "said"), [(None, "null"), (250_000, "250000")])
def test_answers_say_where_the_chain_begins(gnotest: Recording, both: Both, first: int | None, said: str) -> None:
    before, _ = both.same(HISTORY)
    Chain.objects.update(first_height=first)
    answer, alone = both.same(HISTORY)
    assert alone
    assert f'"acceptedGaps":0,"firstHeight":{said}}}'.encode() in answer.content
    assert (answer["ETag"] == before["ETag"]) is (first is None)
