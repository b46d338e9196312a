"""The stream's manners: what it refuses, and how; who may read it; how many listen, and what they cost."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoDbBlocker, Settings

from balances.api import throttling
from balances.api.middleware.cors import ACCEPTED
from balances.api.throttling import Limit
from balances.stream.subscription import ALLOWED
from tests.balances.stream.stream_server import Server, serving
from tests.chains import fill_database
from tests.polling import until

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

ADDRESS = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
PAGE = "https://wallet.example.org"


@pytest.fixture(scope="module", autouse=True)
def _chain(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Committed, for a server's threads read it; once for all tests, none of which writes."""
    with django_db_blocker.unblock():
        fill_database("gnotest-1", last=12)
        yield
        call_command("flush", interactive=False, verbosity=0)


@pytest.fixture(scope="module")
def server(_chain: None) -> Iterator[Server]:
    with serving(origins=(PAGE,)) as running:
        yield running


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("address", "alice"),
        ("address", f"{ADDRESS},{ADDRESS[:-1]}4"),
        ("address", ADDRESS.upper()[:-1]),
        ("address", ",".join([ADDRESS] * 21)),
        ("address", f"{ADDRESS},"),
        ("token", "x" * 513),
        ("token", "a\x00b"),
        ("token", "no such token"),
        ("amounts", "number"),
        ("fromHeight", "-1"),
        ("fromHeight", "ten"),
        ("fromHeight", "9" * 30),
        ("lastEventId", "x"),
        ("lastEventId", "1-2"),
        ("lastEventId", "1-2-3-4"),
        ("lastEventId", "1-2-3@"),
        ("lastEventId", "-1-2-3"),
        ("lastEventId", "-2"),
        ("lastEventId", "1-9999999999-0"),
        ("lastEventId", "9" * 19),
        ("lastEventId", "\u0661-0-0"),
        ("lastEventId", " 1"),
        ("limit", "1"),
        ("adress", ADDRESS),
    ],
)
def test_a_malformed_parameter_is_refused_by_name(server: Server, name: str, value: str) -> None:
    query: dict[str, Any] = {name: value}
    client = server.ask(**query)
    assert client.status == 400
    assert client.headers["content-type"] == "application/problem+json"
    problem = client.body()
    assert problem["parameter"] == (name if name in ALLOWED else repr(name))
    assert problem["detail"] == problem["error"]
    assert problem["detail"].startswith(problem["parameter"])
    assert len(problem["detail"]) < 600


@pytest.mark.parametrize("text", ["x", "1-2", "5-0-0@-1", "é"])
def test_a_malformed_id_in_the_header_is_refused_by_its_name(server: Server, text: str) -> None:
    client = server.ask(given={"Last-Event-ID": text})
    assert (client.status, client.body()["parameter"]) == (400, "Last-Event-ID")


def test_a_height_and_an_id_together_are_refused(server: Server) -> None:
    assert server.ask(fromHeight=3, lastEventId="5@0").body()["parameter"] == "fromHeight"
    assert server.ask("/events/stream?fromHeight=1&fromHeight=2").body()["parameter"] == "fromHeight"


def test_the_header_wins_over_the_query_string(server: Server) -> None:
    """A browser that comes back asks for the URL that it began with."""
    for query in ({"fromHeight": 3}, {"lastEventId": "4@0"}):
        assert server.listen("7@0", **query).take("progress").id == "7@0"
    assert server.listen("", lastEventId="").take("progress").id == "12@0"


def test_the_head_of_a_stream(server: Server) -> None:
    client = server.ask("/events/stream/", given={"Origin": PAGE})
    assert client.headers["content-type"] == "text/event-stream"
    assert client.headers["cache-control"] == "no-store, no-transform"
    assert client.headers["x-accel-buffering"] == "no"
    first = client.take("progress")
    assert client.retry == 3000
    assert (first.id, first.data) == (
        "12@0",
        {
            "chainId": "gnotest-1",
            "indexedHeight": 12,
            "includesUpTo": 12,
            "acceptedGaps": 0,
            "firstHeight": None,
            "generation": 0,
        },
    )


def test_other_paths_and_methods(server: Server) -> None:
    assert server.ask("/health").body() == {"status": "ok"}
    assert server.ask("/").status == 404
    assert "/events/stream" in server.ask("/events").body()["detail"]
    refused = server.ask(method="POST")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    looked = server.ask(method="HEAD")
    assert (looked.status, looked.headers["content-type"]) == (200, "text/event-stream")
    assert server.ask(method="HEAD", fromHeight="x").status == 400


def test_web_pages_of_known_origins_may_read(server: Server) -> None:
    asked = server.ask(method="OPTIONS", given={"Origin": PAGE, "Access-Control-Request-Method": "GET"})
    assert asked.status == 204
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert asked.headers["access-control-allow-headers"] == ACCEPTED, "as the rest of the API"
    assert int(asked.headers["access-control-max-age"]) > 0
    assert "access-control-expose-headers" not in asked.headers
    assert server.ask(given={"Origin": PAGE}).headers["access-control-allow-origin"] == PAGE
    other = server.ask(given={"Origin": "https://other.example.org"})
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


def test_web_pages_of_all_origins_may_read_or_of_none() -> None:
    with serving(origins=("*",)) as everybody, serving(origins=()) as nobody:
        assert everybody.ask(given={"Origin": PAGE}).headers["access-control-allow-origin"] == "*"
        assert not [name for name in nobody.ask(given={"Origin": PAGE}).headers if name.startswith("access-control")]


def test_more_than_the_most_are_asked_to_come_again() -> None:
    with serving(most=2) as server:
        first, _ = server.listen(), server.listen()
        refused = server.ask()
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert "2 clients" in refused.body()["detail"]
        assert server.ask(fromHeight="x").status == 400
        first.close()
        until(lambda: server.do(len, server.stream) == 1, "the place free")
        server.listen().take("progress")


def test_a_server_that_stops_ends_every_stream() -> None:
    with serving() as server:
        clients = [server.listen(), server.listen(fromHeight=10**6), server.listen(fromHeight=0)]
        for client in clients:
            client.take("progress")
        server.settle(12)
        server.stop()
        for client in clients:
            assert all(event.name in ("", "progress", "transfer") for event in client.events), "it ends in order"


def test_five_hundred_idle_listeners_cost_little() -> None:
    connections = database_connections()
    with serving() as server:
        for _ in range(10):
            server.listen(fromHeight=0)
        server.settle(12)
        threads, memory = threading.active_count(), resident_bytes()
        for number in range(500):
            server.listen(address=ADDRESS, fromHeight=5 + number % 10)
        server.settle(12)
        assert server.do(len, server.stream) == 510
        assert threading.active_count() == threads
        assert database_connections() - connections == 4, "to listen, to follow, and two to read what is old"
        # Their clients are in this process too.
        assert resident_bytes() - memory < 15_000_000


def database_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # a transaction sees what it saw first
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        count: int = cursor.fetchone()[0]
        return count


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_who_asks_too_often_is_told_when_to_come_back(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "_addresses", Limit(1, 3600))
    assert server.ask(method="HEAD").status == 200
    refused = server.ask()
    assert (refused.status, refused.headers["content-type"]) == (429, "application/problem+json")
    assert 3590 <= int(refused.headers["retry-after"]) <= 3600
    assert "1 in 3600 seconds" in refused.body()["detail"]


def test_a_proxy_that_adds_a_line_of_its_own_is_believed_and_the_clients_line_is_not(
    server: Server, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.TRUSTED_PROXIES = 1
    monkeypatch.setattr(throttling, "_addresses", Limit(1, 3600))

    def ask(invented: str, address: str) -> int:
        lines = {"X-Forwarded-For": invented, "x-forwarded-for": address, "X_Forwarded_For": invented}
        return server.ask(method="HEAD", given=lines).status

    assert [ask("10.0.0.1", "203.0.113.7:80"), ask("10.0.0.2", "203.0.113.7:81")] == [200, 429]
    assert ask("10.0.0.1", "198.51.100.9:80") == 200


@pytest.mark.parametrize("path", ["/indexer/events/stream", "/events/stream", "/indexer/events/stream/"])
def test_the_stream_is_under_the_path_prefix_too(server: Server, settings: Settings, path: str) -> None:
    forwarded = {"X-Forwarded-Prefix": "/indexer"}
    assert server.ask(path, "HEAD", given=forwarded).status == (200 if path == "/events/stream" else 404)
    settings.TRUSTED_PROXIES = 1
    assert server.ask(path, "HEAD", given=forwarded).status == 200
    settings.TRUSTED_PROXIES, settings.PATH_PREFIX = 0, "/indexer"
    assert server.ask(path, "HEAD").status == 200
    assert "at /indexer/events/stream." in server.ask("/indexer/events").body()["detail"]
    assert server.ask("/indexer/health").status == 200
