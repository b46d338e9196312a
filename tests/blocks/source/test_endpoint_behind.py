"""An endpoint that has less than is stored is behind; it never moves the tip, and it is one line when it falls back."""

import logging

import pytest

from blocks.models import Chain, EndpointState
from blocks.source import endpoints
from blocks.spans import Span
from blocks.sync import synchronizer
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(endpoints, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(synchronizer, "REPORT_SECONDS", 0.05)


def state() -> EndpointState:
    return EndpointState.objects.get()


def test_a_source_that_reads_its_chain_again_is_behind_until_it_is_level(
    test5: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(test5, start=150) as source:
        sync(source.url)
        port = source.port
    seen_at = Chain.objects.get().tip_seen_at
    with caplog.at_level(logging.INFO), ReplaySource(test5, start=15, port=port) as source, Sync(source.url):
        wait_until(lambda: state().tip == 14)
        chain = Chain.objects.get()
        assert (chain.tip, chain.tip_seen_at) == (149, seen_at), "a tip that no endpoint shows now was not seen now"
        for _ in range(10):
            source.advance(10)
            wait_until(lambda tip=source.tip: state().tip == tip)  # type: ignore[misc]  # a lambda in a loop
            assert Chain.objects.get().tip == 149
        source.advance(91)
        wait_until(lambda: whole(205))
        wait_until(lambda: Chain.objects.get().tip == 205)
    lines = [line for line in caplog.messages if "is behind" in line or "is level" in line]
    assert [line.split(" url=")[0] for line in lines] == [
        "Endpoint is behind what is stored",
        "Endpoint is level again",
    ]


def test_the_last_good_answer_is_kept_when_a_poll_fails(test5: Recording) -> None:
    with ReplaySource(test5) as source, Sync(source.url):
        wait_until(lambda: whole(205))
        wait_until(lambda: state().answered_at is not None)
        source.faults.server_error = 1.0
        wait_until(lambda: state().trouble)
        failed = state()
        assert failed.tip == 205
        wait_until(lambda: state().seen_at > failed.seen_at)
        assert state().answered_at == failed.answered_at
        source.faults.server_error = 0.0
        wait_until(lambda: not state().trouble)
        wait_until(lambda: state().answered_at > failed.answered_at)  # type: ignore[operator]  # it was set above


def test_a_height_that_was_asked_for_in_vain_is_asked_for_when_an_endpoint_is_back(test5: Recording) -> None:
    with ReplaySource(test5) as source, Sync(source.url) as running:
        wait_until(lambda: whole(205))
        retries = running.synchronizer._retries
        source.faults.server_error = 1.0
        wait_until(lambda: state().trouble)
        for _ in range(30):
            retries.fail(Span(206, 206), "no block", absent=True)
        assert not retries.due()
        source.faults.server_error = 0.0
        wait_until(lambda: not retries.all() or retries.due())
