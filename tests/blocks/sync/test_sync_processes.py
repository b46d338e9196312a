"""`manage.py runsync` as real processes: signals, kills, standby."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from blocks.models import Block, Transaction
from events.models import OutboxMessage
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import assert_holds, coverage, covered, wait_until, whole
from tests.conftest import ROOT, database_url

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


class Process:
    """One `manage.py runsync` with its log."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        variables = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url(),
            "SYNC_WINDOW_BLOCKS": "10",
            "SYNC_CONNECTIONS": "2",
            "SYNC_POLL_SECONDS": "0.05",
            "SYNC_TIMEOUT_SECONDS": "5",
            "PYTHONWARNINGS": "error",
        }
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "runsync", *arguments],
                cwd=ROOT,
                env=variables | environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has logged this."""
        wait_until(lambda: text in self.text or self.process.poll() is not None, 15, lambda: self.text[-2000:])
        assert text in self.text, self.text[-2000:]

    def ends(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.text[-2000:]}") from None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Process] | object]:
    """`start(url, *arguments, **environment)`: a process that is killed at the end of the test if it still runs."""
    started: list[Process] = []

    def one(url: str, *arguments: str, **environment: str) -> Process:
        log = tmp_path / f"runsync-{len(started)}.log"
        started.append(Process(log, *arguments, TX_INDEXER_URLS=url, **environment))
        return started[-1]

    yield one
    for each in started:
        each.process.kill()
        each.process.wait()


@contextmanager
def slow(recording: Recording, seconds: float = 0.02) -> Iterator[ReplaySource]:
    """A source that takes its time for each answer, so that there is a middle to be killed in."""
    with ReplaySource(recording, faults=Faults(late=1.0, late_seconds=seconds)) as source:
        yield source


def rows() -> tuple[list[object], list[object], list[object]]:
    return (
        list(Block.objects.order_by("height").values_list()),
        list(Transaction.objects.order_by("block_height", "index").values_list()),
        coverage(),  # type: ignore[return-value]  # rows are compared, not read
    )


def test_until_tip_ends_with_0_and_says_what_it_did(test5: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with ReplaySource(test5) as source:
        process = start(source.url, "--until-tip")
        assert process.ends(30) == 0, process.text
    assert "blocks=206 transactions=203" in process.text
    assert "Traceback" not in process.text
    assert_holds(test5)
    assert OutboxMessage.objects.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_window_in_hand_and_ends_with_0(test5: Recording, start, number) -> None:  # type: ignore[no-untyped-def]
    with slow(test5) as source:
        process = start(source.url)
        wait_until(lambda: Block.objects.exists(), 20)
        process.process.send_signal(number)
        assert process.ends(8) == 0, process.text
    assert "Traceback" not in process.text
    blocks = Block.objects.count()
    assert sum(last - first + 1 for first, last in coverage()) == blocks < 206


def test_a_signal_ends_it_soon_though_the_source_hangs(test5: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with ReplaySource(test5) as source:
        process = start(source.url, SYNC_TIMEOUT_SECONDS="60")
        wait_until(lambda: whole(205), 20)
        source.faults.late, source.faults.late_seconds = 1.0, 60.0
        asked = len(source.requests)
        time.sleep(0.5)  # a look is under way now, and is answered in a minute
        assert len(source.requests) - asked < 5
        process.process.terminate()
        assert process.ends(8) == 0, process.text


def test_a_signal_ends_a_standby(short: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with ReplaySource(short) as source:
        leader = start(source.url)
        leader.says("Synchronizer leads")
        standby = start(source.url)
        standby.says("stands by")
        standby.process.terminate()
        assert standby.ends(8) == 0, standby.text
        assert leader.process.poll() is None


def test_killed_in_the_middle_and_started_again_it_gives_the_same_rows(test5: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with slow(test5) as source:
        for at in (1, 60):
            process = start(source.url)
            wait_until(lambda at=at: Block.objects.count() >= at, 20)  # type: ignore[misc]  # a lambda in a loop
            process.process.kill()
            process.process.wait()
        assert Block.objects.count() < 206, "it was over before it was killed: the test shows nothing"
        source.faults.late = 0.0
        process = start(source.url, "--until-tip")
        assert process.ends(30) == 0, process.text
    assert_holds(test5)
    killed = rows()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE blocks, transactions, chain, outbox, refused_events CASCADE")
    with ReplaySource(test5) as source:
        assert start(source.url, "--until-tip").ends(30) == 0
    assert rows() == killed


def test_a_standby_takes_over_within_two_seconds_of_a_kill(test5: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with ReplaySource(test5, start=50) as source:
        first = start(source.url)
        first.says("Synchronizer leads")
        wait_until(lambda: whole(49))
        second = start(source.url)
        second.says("stands by")
        source.advance(10)
        wait_until(lambda: whole(59))
        assert "Synchronizer leads" not in second.text
        first.process.kill()
        killed = time.monotonic()
        second.says("Synchronizer leads")
        assert time.monotonic() - killed < 2.5
        source.advance(1000)
        wait_until(lambda: whole(205))
    assert_holds(test5)


def test_the_doorbell_is_connected_and_faster_than_the_poll(short: Recording, start) -> None:  # type: ignore[no-untyped-def]
    with ReplaySource(short, start=30) as source:
        start(source.url, SYNC_POLL_SECONDS="60")
        wait_until(lambda: covered(29) and source.subscriptions == 1, 20)
        source.advance()
        wait_until(lambda: covered(30), 5)


def test_without_a_schema_it_says_what_to_do(short: Recording, start) -> None:  # type: ignore[no-untyped-def]
    """A database that was never migrated: one line, not a traceback."""
    url = database_url()
    with connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE runsync_without_schema")
    try:
        name = str(connection.settings_dict["NAME"])
        with ReplaySource(short) as source:
            process = start(source.url, DATABASE_URL=url.replace(f"/{name}", "/runsync_without_schema", 1))
            assert process.ends(15) != 0
        assert "Traceback" not in process.text, process.text[-500:]
        assert "migrate" in process.text
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE runsync_without_schema WITH (FORCE)")
