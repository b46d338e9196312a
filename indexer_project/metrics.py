"""Prometheus metrics, on a port of each process's own when METRICS_PORT is set."""

import threading
from collections.abc import Callable, Iterator, Mapping

from django.conf import settings
from django.db import Error
from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from balances.snapshot import snapshot
from balances.status import read_status
from events.refused.correction import refused_by_reason


class MetricsPortTaken(Exception):
    """Another process listens there; the message names the variable."""


Counters = Callable[[], Mapping[str, int]]


class ProcessCollector(Collector):
    """What this process counted, and the state of the index as the database has it at the moment of the scrape."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._asking = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        for name, value in self._counters().items():
            yield CounterMetricFamily(f"indexer_{name}", f"{name.replace('_', ' ')} by this process", value)
        gauges = self._gauges()
        yield from gauges or ()
        yield GaugeMetricFamily("indexer_database_up", "1 when the database answers", gauges is not None)

    def _gauges(self) -> list[Metric] | None:
        """None when the database does not answer, or has not answered the scrape before this one yet."""
        if not self._asking.acquire(blocking=False):
            return None
        try:
            return list(_state())
        except Error:
            return None
        finally:
            self._asking.release()


def _state() -> Iterator[Metric]:
    with snapshot() as seen:
        status = read_status(seen.indexed_height)
        refused_events = refused_by_reason()
    newest = status.newest
    gauges = {
        "tip_height": (status.tip, "highest height that an endpoint showed"),
        "contiguous_height": (status.indexed_height.contiguous, "stored up to here without a gap"),
        "indexed_height": (status.indexed_height.height, "applied up to here"),
        "lag_heights": (status.lag, "heights the index is behind the tip; NaN while that is unknown"),
        "newest_block_height": (
            None if newest is None else newest.height,
            "highest block that is stored; NaN while there is none",
        ),
        "newest_block_age_seconds": (
            None if newest is None else newest.age_seconds,
            "seconds since the chain made it; NaN while there is none",
        ),
        "first_height": (status.indexed_height.first_height, "first block after genesis; NaN while that is unknown"),
        "conflict": (int(bool(status.indexed_height.conflict)), "1 while two blocks do not link"),
        "leaders": (
            sum(each.leads and not each.silent for each in status.synchronizers),
            "synchronizers that write, by their own reports",
        ),
        "standbys": (
            sum(not each.leads and not each.silent for each in status.synchronizers),
            "synchronizers that stand by",
        ),
        "stored_blocks": (status.stored_blocks, "complete heights"),
        "gap_heights": (status.missing.heights, "heights missing below the tip"),
        "accepted_gap_heights": (status.accepted.heights, "heights a person accepted as missing"),
        "outbox_pending": (status.backlog.pending, "messages that are not applied"),
        "outbox_unpublished": (status.backlog.unpublished, "messages that the queue has not got"),
        "outbox_set_aside": (status.backlog.set_aside, "messages that nobody understood"),
    }
    for name, (value, text) in gauges.items():
        yield GaugeMetricFamily(f"indexer_{name}", text, float("nan") if value is None else value)
    endpoints = GaugeMetricFamily("indexer_endpoint_up", "1 when the endpoint is used", labels=["url"])
    for endpoint in status.endpoints:
        endpoints.add_metric([endpoint.url], 0 if endpoint.trouble else 1)
    yield endpoints
    refused = GaugeMetricFamily("indexer_refused_events", "events refused, by reason", labels=["reason"])
    for reason, number in refused_events.items():
        refused.add_metric([reason], number)
    yield refused


def serve_metrics(counters: Counters) -> None:
    """Serve `/metrics` in a thread when METRICS_PORT is set. Raises `MetricsPortTaken`."""
    if settings.METRICS_PORT:
        registry = CollectorRegistry()
        registry.register(ProcessCollector(counters))
        try:
            start_http_server(settings.METRICS_PORT, addr=settings.METRICS_HOST, registry=registry)
        except OSError as error:
            raise MetricsPortTaken(
                f"METRICS_PORT={settings.METRICS_PORT} cannot be listened at: {error.strerror}. "
                "Each process needs a port of its own."
            ) from None
