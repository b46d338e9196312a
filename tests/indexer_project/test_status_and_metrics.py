"""What people and monitoring see: `manage.py status` and the metrics."""

import json
import socket
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from prometheus_client import CollectorRegistry, Metric, generate_latest

from blocks.models import AcceptedGap, Chain, EndpointState, IncompleteRange
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
    EndpointState.objects.create(url="http://a/", tip=22, trouble="", seen_at="2026-01-01T00:00:00Z")
    EndpointState.objects.create(url="http://b/", tip=-1, trouble="HTTP 500", seen_at="2026-01-01T00:00:00Z")
    OutboxMessage.objects.create(first_height=8, last_height=9, transfers=3, body="{}")


def status(**options: Any) -> str:
    out = StringIO()
    call_command("status", stdout=out, **options)
    return out.getvalue()


@pytest.mark.usefixtures("chain")
def test_status_tells_programs_everything() -> None:
    said = json.loads(status(json=True))
    assert said == {
        "chain_id": "c-1",
        "tip": 22,
        "stored_blocks": 18,
        "contiguous": 10,
        "indexed": 7,
        "lag": 15,
        "gap_heights": 4,
        "accepted_heights": 1,
        "gaps": [{"first": 11, "last": 12, "reason": "height 11: no block"}, {"first": 21, "last": 22, "reason": ""}],
        "accepted_gaps": [{"first": 10, "last": 10, "reason": "lost"}],
        "endpoints": [
            {"url": "http://a/", "tip": 22, "trouble": ""},
            {"url": "http://b/", "tip": -1, "trouble": "HTTP 500"},
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
    assert "http://b/  -1  HTTP 500" in said


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
    registry = CollectorRegistry()
    registry.register(ProcessCollector(lambda: {"blocks_stored": 5}))
    said = generate_latest(registry).decode()
    for line in (
        "indexer_blocks_stored_total 5.0",
        "indexer_indexed_height 7.0",
        "indexer_gap_heights 4.0",
        "indexer_accepted_gap_heights 1.0",
        'indexer_endpoint_up{url="http://b/"} 0.0',
        'indexer_refused_events{reason="foreign_emitter"} 0.0',
        "indexer_database_up 1.0",
    ):
        assert line in said


def test_a_metrics_port_that_is_taken_is_told_by_name(settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings.METRICS_PORT = other.getsockname()[1]
        with pytest.raises(MetricsPortTaken, match="METRICS_PORT"):
            serve_metrics(dict)
