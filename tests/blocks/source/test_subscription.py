"""The doorbell: a websocket that only wakes; without it the synchronizer is slower and never wrong."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from blocks.source import subscription
from blocks.source.endpoint_url import parse_endpoints
from blocks.source.subscription import Doorbell
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, assert_holds, covered, wait_until, whole

pytestmark = pytest.mark.indexer


@contextmanager
def hanging(bell: Doorbell) -> Iterator[Doorbell]:
    bell.start()
    try:
        yield bell
    finally:
        bell.stop()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(subscription, "LONGEST_PAUSE", 0.2)


@pytest.mark.parametrize(
    ("http", "websocket"),
    [
        ("http://127.0.0.1:8546/graphql/query", "ws://127.0.0.1:8546/graphql/query"),
        ("https://indexer.gno.land/graphql/query", "wss://indexer.gno.land/graphql/query"),
        ("http://http/http", "ws://http/http"),
    ],
)
def test_the_websocket_is_beside_the_queries(http: str, websocket: str) -> None:
    assert parse_endpoints([http])[0].websocket_url == websocket


def test_it_rings_for_each_new_block(short: Recording) -> None:
    rings: list[int] = []
    with (
        ReplaySource(short, start=10) as source,
        hanging(Doorbell(parse_endpoints([source.url]), lambda: rings.append(1))),
    ):
        wait_until(lambda: source.subscriptions == 1)
        assert not rings
        source.advance(3)
        wait_until(lambda: len(rings) == 3)


def test_it_takes_the_older_protocol_where_the_newer_is_refused(
    short: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "SUBPROTOCOLS", ("no-such-protocol", subscription.SUBPROTOCOLS[1]))
    rings: list[int] = []
    with (
        ReplaySource(short, start=10) as source,
        hanging(Doorbell(parse_endpoints([source.url]), lambda: rings.append(1))),
    ):
        wait_until(lambda: source.subscriptions == 1)
        source.advance()
        wait_until(lambda: len(rings) == 1)


def test_it_hangs_itself_at_the_next_endpoint_when_the_first_has_none(short: Recording) -> None:
    rings: list[int] = []
    with (
        ReplaySource(short, faults=Faults(refuse_websocket=True)) as deaf,
        ReplaySource(short, start=10) as source,
        hanging(Doorbell(parse_endpoints([deaf.url, source.url]), lambda: rings.append(1))),
    ):
        wait_until(lambda: source.subscriptions == 1)
        source.advance()
        wait_until(lambda: len(rings) == 1)


def test_it_comes_back_when_the_server_was_restarted(short: Recording) -> None:
    rings: list[int] = []
    source = ReplaySource(short, start=10)
    with source:
        bell = Doorbell(parse_endpoints([source.url]), lambda: rings.append(1))
        bell.start()
        wait_until(lambda: source.subscriptions == 1)
    try:
        with source:
            wait_until(lambda: source.subscriptions >= 1)
            source.advance()
            wait_until(lambda: len(rings) >= 1)
    finally:
        bell.stop()


def test_a_silent_socket_is_noticed_and_left(
    short: Recording, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(subscription, "PING_SECONDS", 0.2)
    caplog.set_level(logging.INFO)
    rings: list[int] = []
    with (
        ReplaySource(short, start=10, faults=Faults(silent_websocket=True)) as source,
        hanging(Doorbell(parse_endpoints([source.url]), lambda: rings.append(1))),
    ):
        wait_until(lambda: "Subscription lost" in caplog.text)
        source.faults.silent_websocket = False
        wait_until(lambda: source.subscriptions == 1)
        source.advance()
        wait_until(lambda: len(rings) >= 1)


def test_it_stops_at_once_whatever_it_is_doing(short: Recording) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ReplaySource(short) as source:
        mute = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql/query"  # accepts and never says a word
        for url in (mute, source.url, "http://127.0.0.1:1/graphql/query", "http://no-such-host.invalid/"):
            bell = Doorbell(parse_endpoints([url]), lambda: None)
            bell.start()
            time.sleep(0.1)
            started = time.monotonic()
            bell.stop()
            assert time.monotonic() - started < 3, url
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "doorbell"])


def test_it_stops_before_it_has_begun() -> None:
    bell = Doorbell(parse_endpoints(["http://127.0.0.1:1/graphql/query"]), lambda: None)
    bell.start()
    bell.stop()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "doorbell"])


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_ring_is_faster_than_the_poll(short: Recording) -> None:
    with ReplaySource(short, start=30) as source:
        running = Sync(source.url, poll=60.0)
        with running, hanging(Doorbell(parse_endpoints([source.url]), running.synchronizer.ring)):
            wait_until(lambda: covered(29) and source.subscriptions == 1)
            for height in (30, 31, 32):
                started = time.monotonic()
                source.advance()
                wait_until(lambda height=height: covered(height), 5)  # type: ignore[misc]  # a lambda in a loop
                assert time.monotonic() - started < 2
    assert_holds(short, 0, 32)


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_ring_before_the_block_can_be_read_is_not_lost_in_a_long_poll(gnotest: Recording) -> None:
    """Announced, then readable a moment later: nobody rings again, and the poll is a minute away."""
    faults = Faults(announce_before_block=0.15, announce_early=0.3)
    with ReplaySource(gnotest, start=132, faults=faults) as source:
        running = Sync(source.url, poll=60.0)
        with running, hanging(Doorbell(parse_endpoints([source.url]), running.synchronizer.ring)):
            wait_until(lambda: whole(131) and source.subscriptions == 1)
            source.advance()
            wait_until(lambda: whole(132), 5)
    assert_holds(gnotest, 0, 132)


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "faults", [Faults(refuse_websocket=True), Faults(silent_websocket=True)], ids=["refused", "silent"]
)
def test_polling_covers_for_a_websocket_that_does_not_speak(short: Recording, faults: Faults) -> None:
    with ReplaySource(short, start=30, faults=faults) as source:
        running = Sync(source.url, poll=0.1)
        with running, hanging(Doorbell(parse_endpoints([source.url]), running.synchronizer.ring)):
            wait_until(lambda: covered(29))
            source.advance(5)
            wait_until(lambda: covered(34))
    assert_holds(short, 0, 34)


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_rings_without_news_do_no_harm(short: Recording) -> None:
    with ReplaySource(short, start=30) as source:
        running = Sync(source.url, poll=60.0)
        with running:
            wait_until(lambda: covered(29))
            for _ in range(2000):
                running.synchronizer.ring()
            asked = len(source.requests)
            time.sleep(0.5)
            assert len(source.requests) - asked < 50, "each ring is a look"
            source.advance()
            running.synchronizer.ring()
            wait_until(lambda: covered(30))
    assert_holds(short, 0, 30)
