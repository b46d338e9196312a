"""`/status` and `/ready`: how everything is doing, for people and for whoever sends requests here or elsewhere."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from balances.status import FEW
from blocks.gap_advice import likely_cause
from blocks.models import AcceptedGap, Block, Chain, EndpointState, IncompleteRange, SynchronizerState
from events.models import OutboxMessage
from tests.balances.api.client import Api, Row
from tests.balances.api.test_pages import PROGRESS_AND_VERSION

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]


def ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


@pytest.fixture
def chain() -> None:
    Chain.objects.create(chain_id="c-1", coverage=[(0, 9), (13, 20)], tip=22, tip_seen_at=ago(4))
    AcceptedGap.objects.create(first_height=10, last_height=10, reason="lost")
    IncompleteRange.objects.create(
        first_height=11, last_height=11, reason="no block", attempts=7, asked_at="2026-01-01T00:00:00Z"
    )
    EndpointState.objects.create(url="http://a", tip=22, trouble="", seen_at=ago(1), answered_at=ago(1))
    EndpointState.objects.create(url="https://host:8443", tip=-1, trouble="HTTP 500", seen_at=ago(1))
    SynchronizerState.objects.create(name="host-1:7", leads=True, since=ago(500), seen_at=ago(1))
    SynchronizerState.objects.create(name="host-2:9", leads=False, since=ago(400), seen_at=ago(20))
    Block.objects.create(
        height=7, hash="h", last_block_hash="g", time=ago(100), num_txs=0, total_txs=0, proposer_address="p"
    )
    old = {"created_at": ago(30), "published_at": Now()}
    OutboxMessage.objects.create(first_height=8, last_height=9, transfers=3, body="{}", **old)
    OutboxMessage.objects.create(first_height=9, last_height=9, transfers=3, body="{}")
    OutboxMessage.objects.create(first_height=9, last_height=9, transfers=3, body="{}", set_aside_at=Now())
    for seconds, transfers in ((5, 40), (50, 2), (70, 1000)):
        OutboxMessage.objects.create(
            first_height=1, last_height=1, transfers=transfers, body="{}", applied_at=ago(seconds)
        )


def status(client: Client) -> Row:
    response = client.get("/status")
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    schema = client.get("/schema", headers={"Accept": "application/json"}).json()
    jsonschema.validate(response.json(), {"$ref": "#/components/schemas/Status", **schema})
    assert set(response.json()) == set(schema["components"]["schemas"]["Status"]["properties"])
    body: Row = response.json()
    return body


@pytest.mark.usefixtures("chain")
def test_status_says_what_is_stored_applied_missing_and_waiting(client: Client) -> None:
    said = status(client)
    assert said.pop("tipSeenAt") < min(endpoint.pop("seenAt") for endpoint in said["endpoints"])
    assert 100 <= said["lag"].pop("seconds") < 130
    since, made = said["synchronizers"][0].pop("since"), said["newestBlock"].pop("time")
    assert since < made < said["endpoints"][0].pop("answeredAt")
    assert 100 <= said["newestBlock"].pop("ageSeconds") < 130
    assert all(each.pop("since", "") < each.pop("seenAt") for each in said["synchronizers"])
    assert 29 <= said["queue"].pop("oldestPendingSeconds") < 60
    assert said == {
        "version": "1.0.0",
        "ready": True,
        "notReady": None,
        "conflict": None,
        "tip": 22,
        "storedBlocks": 18,
        "contiguousHeight": 10,
        "lag": {"heights": 15},
        "newestBlock": {"height": 7},
        "firstHeightProven": False,
        "firstHeightNote": "The chain's first height is not known yet.",
        "gaps": {
            "number": 2,
            "heights": 4,
            "first": [
                {
                    "fromHeight": 11,
                    "toHeight": 12,
                    "reason": "height 11: no block",
                    "advice": likely_cause("no block", 11),
                },
                {"fromHeight": 21, "toHeight": 22, "reason": "", "advice": ""},
            ],
        },
        "accepted": {
            "number": 1,
            "heights": 1,
            "first": [{"fromHeight": 10, "toHeight": 10, "reason": "lost", "advice": ""}],
        },
        "endpoints": [
            {"url": "http://a", "tip": 22, "level": True, "trouble": ""},
            {"url": "https://host:8443", "tip": -1, "level": False, "trouble": "HTTP 500", "answeredAt": None},
        ],
        "synchronizers": [
            {"name": "host-1:7", "leads": True, "silent": False},
            {"name": "host-2:9", "leads": False, "silent": True},
        ],
        "queue": {"pending": 2, "unpublished": 1, "setAside": 1, "recentTransfers": 42},
        "chainId": "c-1",
        "indexedHeight": 7,
        "includesUpTo": 20,
        "acceptedGaps": 1,
        "firstHeight": None,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"trouble": "HTTP 502"},
        {"tip": 14},
        {"tip": 14, "trouble": "behind"},
        {"seen_at": ago(11)},
        {"answered_at": ago(121)},
        {"answered_at": None},
    ],
)
def test_lag_is_unknown_while_no_level_endpoint_says_how_far_the_chain_is(
    client: Client, chain: None, settings: Settings, changes: dict[str, Any]
) -> None:
    settings.READY_STALL_SECONDS = 120
    Chain.objects.update(coverage=[(0, 22)], tip=22)
    OutboxMessage.objects.all().delete()
    assert status(client)["lag"] == {"heights": 0, "seconds": 0}
    EndpointState.objects.filter(url="http://a").update(**changes)
    said = status(client)
    assert (said["lag"], said["tip"]) == ({"heights": None, "seconds": None}, 22)


def test_the_tip_is_never_below_what_is_indexed(client: Client, chain: None) -> None:
    Chain.objects.update(coverage=[(0, 22)], tip=14)
    OutboxMessage.objects.all().delete()
    said = status(client)
    assert (said["tip"], said["indexedHeight"]) == (22, 22)


@pytest.mark.parametrize(
    ("first", "proven", "note"),
    [
        (250, True, "The chain begins at height 250: that block has no predecessor."),
        (
            250,
            False,
            "No endpoint has anything below height 250: that part of the history is not available or counted.",
        ),
    ],
)
def test_where_the_chain_begins_is_said_in_words(
    client: Client, chain: None, first: int, proven: bool, note: str
) -> None:
    Chain.objects.update(coverage=[(0, 0), (first, 300)], first_height=first, first_height_proven=proven, tip=300)
    OutboxMessage.objects.all().delete()
    said = status(client)
    assert (said["firstHeight"], said["firstHeightProven"], said["firstHeightNote"]) == (first, proven, note)
    assert said["indexedHeight"] == 300


def test_status_of_an_empty_database_is_no_error(client: Client) -> None:
    said = status(client)
    assert (said["chainId"], said["tip"], said["lag"], said["endpoints"]) == (
        None,
        -1,
        {"heights": None, "seconds": None},
        [],
    )
    assert said["notReady"] == "Nothing is stored yet."


@pytest.mark.usefixtures("chain")
def test_status_is_bounded_however_much_is_missing(
    client: Client, settings: Settings, django_assert_num_queries: Callable[[int], Any]
) -> None:
    settings.READY_MAX_LAG = 10_000
    with django_assert_num_queries(PROGRESS_AND_VERSION + 14):
        client.get("/status")
    Chain.objects.update(coverage=[(height, height) for height in range(0, 4000, 2)], tip=4000)
    EndpointState.objects.filter(trouble="").update(tip=4000)
    for height in range(11, 41, 2):
        AcceptedGap.objects.create(first_height=height, last_height=height, reason="lost")
    with django_assert_num_queries(PROGRESS_AND_VERSION + 14):
        said = client.get("/status").json()
    assert (len(said["gaps"]["first"]), len(said["accepted"]["first"])) == (FEW, FEW)
    assert (said["gaps"]["number"], said["accepted"]["heights"]) == (1985, 15)


@pytest.mark.usefixtures("chain")
def test_ready_follows_the_settings(client: Client, api: Api, settings: Settings) -> None:
    settings.READY_MAX_LAG, settings.READY_STALL_SECONDS = 15, 120
    response = client.get("/ready/")
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert response.json().items() >= {"ready": True, "tip": 22, "indexedHeight": 7, "chainId": "c-1"}.items()
    settings.READY_MAX_LAG = 14
    problem = api.problem("/ready", 503)
    assert problem["detail"] == "Indexed up to height 7 of 22, 15 behind. Allowed are 14 (READY_MAX_LAG)."
    assert (problem["title"], problem["indexedHeight"]) == ("Service Unavailable", 7)
    assert status(client)["notReady"] == problem["detail"]
    settings.READY_MAX_LAG, settings.READY_STALL_SECONDS = 15, 20
    assert "Height 8 waits to be applied" in api.problem("/ready", 503)["detail"]


def test_not_ready_is_no_error_in_the_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        response = client.get("/ready")
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (503, "5", "no-store")
    assert caplog.records == []
