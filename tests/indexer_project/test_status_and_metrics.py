"""What people and monitoring see: `manage.py status` and the metrics."""

import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry, Metric, generate_latest

from blocks.gap_advice import likely_cause
from blocks.models import AcceptedGap, Block, Chain, EndpointState, IncompleteRange, SynchronizerState
from events.models import OutboxMessage
from indexer_project.metrics import MetricsPortTaken, ProcessCollector, serve_metrics

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def chain() -> None:
    Chain.objects.create(chain_id="c-1", coverage=[(0, 9), (13, 20)], tip=22)
    IncompleteRange.objects.create(
        first_height=11, last_height=11, reason="no block", attempts=7, asked_at="2026-01-01T00:00:00Z"
    )
    AcceptedGap.objects.create(first_height=10, last_height=10, reason="lost")
    EndpointState.objects.create(url="http://a/", tip=22, trouble="", seen_at=Now(), answered_at=Now())
    EndpointState.objects.create(url="http://b/", tip=-1, trouble="HTTP 500", seen_at="2026-01-01T00:00:00Z")
    OutboxMessage.objects.create(first_height=8, last_height=9, transfers=3, body="{}")
    Block.objects.create(
        height=20,
        hash="h",
        last_block_hash="g",
        time=Now() - timedelta(hours=2),
        num_txs=0,
        total_txs=0,
        proposer_address="p",
    )
    SynchronizerState.objects.create(name="host:7", leads=True, since="2026-01-01T00:00:00Z", seen_at=Now())
    SynchronizerState.objects.create(name="host:8", leads=False, since="2026-01-01T00:00:00Z", seen_at=Now())
    SynchronizerState.objects.create(
        name="host:9", leads=False, since="2026-01-01T00:00:00Z", seen_at=Now() - timedelta(seconds=11)
    )


def status(**options: Any) -> str:
    out = StringIO()
    call_command("status", stdout=out, **options)
    return out.getvalue()


@pytest.mark.usefixtures("chain")
def test_status_tells_programs_everything() -> None:
    said = json.loads(status(json=True))
    assert said["newest_block"].pop("time") < said["endpoints"][0].pop("answered_at")
    assert 7200 <= said["newest_block"].pop("age_seconds") < 7300
    assert all(each.pop("seen_at") for each in (*said["endpoints"], *said["synchronizers"]))
    assert said == {
        "chain_id": "c-1",
        "conflict": None,
        "first_height": None,
        "first_height_proven": False,
        "first_height_note": "The chain's first height is not known yet.",
        "tip": 22,
        "stored_blocks": 18,
        "contiguous": 10,
        "indexed": 7,
        "lag": 15,
        "lag_seconds": None,
        "newest_block": {"height": 20},
        "gap_heights": 4,
        "accepted_heights": 1,
        "gaps": [
            {"first": 11, "last": 12, "reason": "height 11: no block", "advice": likely_cause("no block", 11)},
            {"first": 21, "last": 22, "reason": "", "advice": ""},
        ],
        "accepted_gaps": [{"first": 10, "last": 10, "reason": "lost", "advice": ""}],
        "endpoints": [
            {"url": "http://a/", "tip": 22, "level": True, "trouble": ""},
            {"url": "http://b/", "tip": -1, "level": False, "trouble": "HTTP 500", "answered_at": None},
        ],
        "synchronizers": [
            {"name": "host:7", "role": "leads", "since": "2026-01-01T00:00:00+00:00"},
            {"name": "host:8", "role": "stands by", "since": "2026-01-01T00:00:00+00:00"},
            {"name": "host:9", "role": "silent", "since": "2026-01-01T00:00:00+00:00"},
        ],
        "outbox_pending": 1,
        "outbox_set_aside": 0,
        "outbox_unpublished": 1,
        "queue": "postgres",
        "queue_depth": None,
    }


@pytest.mark.usefixtures("chain")
def test_status_tells_people_the_same() -> None:
    said = status()
    assert "indexed              7" in said
    assert "11  12  height 11: no block" in said
    assert "http://b/  -1  not level  HTTP 500" in said
    assert "host:7  leads" in said
    assert "newest block         20  " in said
    assert "7200 s" in said
    assert "lag                  15" in said
    assert "skipped what it failed to fetch" in said


@pytest.mark.usefixtures("chain")
def test_what_is_unknown_or_wrong_is_said_to_people() -> None:
    EndpointState.objects.update(trouble="HTTP 502")
    Chain.objects.update(
        conflict="Block 19 (hash B) does not follow block 18 (hash A)", conflict_height=19, first_height=7
    )
    said = status()
    assert "lag                  unknown" in said
    assert 'block 18 (hash A). See "The chain was reset" in docs/operations.md.' in said
    assert "No endpoint has anything below height 7" in said
    assert scraped()["indexer_lag_heights"] == "NaN"
    assert scraped()["indexer_conflict"] == "1.0"


@pytest.mark.usefixtures("chain")
def test_gaps_are_listed_with_a_likely_cause() -> None:
    out = StringIO()
    call_command("gaps", "list", stdout=out)
    assert f"missing   11 to 11  no block\n          {likely_cause('no block', 11)}\n" in out.getvalue()
    assert "missing   12 to 12  \n" in out.getvalue()


def test_status_of_an_empty_database_is_no_error() -> None:
    assert json.loads(status(json=True))["indexed"] == -1


def test_a_scrape_that_hangs_is_waited_for_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is frozen would otherwise cost a thread and a connection for each scrape."""
    collector, hangs, go_on = ProcessCollector(dict), threading.Event(), threading.Event()

    def hang() -> Iterator[Metric]:
        hangs.set()
        assert go_on.wait(20)
        return iter(())

    monkeypatch.setattr("indexer_project.metrics._state", hang)
    first = threading.Thread(target=lambda: list(collector.collect()))
    first.start()
    try:
        assert hangs.wait(20)
        assert [each.samples[0].value for each in collector.collect()] == [0.0]
    finally:
        go_on.set()
        first.join(20)
    assert [each.samples[0].value for each in collector.collect()] == [1.0]


@pytest.mark.usefixtures("chain")
def test_metrics_tell_the_same_numbers() -> None:
    said = scraped()
    assert 7200 <= float(said.pop("indexer_newest_block_age_seconds")) < 7300
    expected = {
        "indexer_blocks_stored_total": "5.0",
        "indexer_indexed_height": "7.0",
        "indexer_lag_heights": "15.0",
        "indexer_newest_block_height": "20.0",
        "indexer_first_height": "NaN",
        "indexer_conflict": "0.0",
        "indexer_leaders": "1.0",
        "indexer_standbys": "1.0",
        "indexer_gap_heights": "4.0",
        "indexer_accepted_gap_heights": "1.0",
        'indexer_endpoint_up{url="http://b/"}': "0.0",
        'indexer_refused_events{reason="foreign_emitter"}': "0.0",
        "indexer_database_up": "1.0",
    }
    assert said.items() >= expected.items()


def scraped() -> dict[str, str]:
    registry = CollectorRegistry()
    registry.register(ProcessCollector(lambda: {"blocks_stored": 5}))
    lines = generate_latest(registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_a_metrics_port_that_is_taken_is_told_by_name(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.METRICS_PORT = other.getsockname()[1]
        with pytest.raises(MetricsPortTaken, match="METRICS_PORT"):
            serve_metrics(dict)
