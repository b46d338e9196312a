"""Never two writers behind a pooler: real PgBouncer, real `runsync`."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection, connections, transaction

from blocks.models import Block, Chain
from blocks.sync import leadership
from blocks.sync.leadership import Leadership, LeadershipLost, verify_leadership
from postgres.pooling import TransactionPooling
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import assert_holds, wait_until, whole
from tests.conftest import ROOT
from tests.other_database import connected
from tests.pooler import needs_pgbouncer, pooler

pytestmark = [needs_pgbouncer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

REFUSAL = "DATABASE_URL leads to a pooler in transaction mode; give runsync the server itself"


@contextmanager
def runsync(folder: Path, name: str, url: str, source: str) -> Iterator["tuple[subprocess.Popen[bytes], Path]"]:
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "runsync"],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": url,
                "TX_INDEXER_URLS": source,
                "SYNC_POLL_SECONDS": "0.05",
            },
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, log
    finally:
        process.kill()
        process.wait()


@pytest.mark.indexer
@pytest.mark.parametrize("settings", [{}, {"ignore_startup_parameters": "options"}], ids=["refused", "dropped"])
def test_two_synchronizers_behind_transaction_mode_are_refused_by_name(
    tmp_path: Path, gnotest: Recording, settings: dict[str, object]
) -> None:
    with (
        ReplaySource(gnotest) as source,
        pooler(tmp_path, "transaction", **settings) as url,
        runsync(tmp_path, "one", url, source.url) as (one, log),
        runsync(tmp_path, "two", url, source.url) as (two, other_log),
    ):
        assert (one.wait(30), two.wait(30)) == (1, 1)
        for text in (log.read_text(), other_log.read_text()):
            assert REFUSAL in text
            assert "Traceback" not in text
    assert not Block.objects.exists()


@pytest.mark.indexer
def test_of_two_synchronizers_behind_session_mode_one_leads(tmp_path: Path, gnotest: Recording) -> None:
    with (
        ReplaySource(gnotest) as source,
        pooler(tmp_path, "session") as url,
        runsync(tmp_path, "one", url, source.url) as (one, log),
        runsync(tmp_path, "two", url, source.url) as (two, other_log),
    ):
        wait_until(lambda: whole(gnotest.heights[-1]), 30, log.read_text)
        texts = [log.read_text(), other_log.read_text()]
        wait_until(lambda: "stands by" in log.read_text() + other_log.read_text(), 20, log.read_text)
        assert sorted("Synchronizer leads" in text for text in texts) == [False, True]
        assert (one.poll(), two.poll()) == (None, None)
    assert Chain.objects.values_list("generation", flat=True).get() == 0, "stored once"
    assert_holds(gnotest)


@pytest.fixture
def undetected(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler so busy that the look at the start tells nothing."""
    monkeypatch.setattr(leadership, "require_session", lambda: None)


@contextmanager
def pooled_leader(url: str) -> Iterator[Leadership]:
    with connected(url):
        leads = Leadership()
        assert leads.wait(threading.Event())
        try:
            yield leads
        finally:
            leads._stop_heart()
            connection.close()
            leadership._thread.connection = None


def test_a_window_stored_in_another_session_than_the_locks_is_rolled_back(tmp_path: Path, undetected: None) -> None:
    with pooler(tmp_path, "transaction") as url, pooled_leader(url):
        with transaction.atomic():
            verify_leadership()
        with psycopg.connect(url) as other:
            other.execute("SELECT 1")  # has the session with the lock as long as its transaction is open
            with pytest.raises(TransactionPooling), transaction.atomic():
                verify_leadership()


def test_a_lock_that_another_client_took_in_the_same_session_is_not_taken_again(
    tmp_path: Path, undetected: None
) -> None:
    with pooler(tmp_path, "transaction", default_pool_size=1) as url, pooled_leader(url):
        led: list[object] = []

        def wait() -> None:
            try:
                led.append(Leadership().wait(threading.Event()))
            except TransactionPooling as refusal:
                led.append(refusal)
            finally:
                connections.close_all()

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(20)
        assert [type(each) for each in led] == [TransactionPooling]


def test_a_writing_connection_that_was_made_again_proves_nothing() -> None:
    leads = Leadership()
    assert leads.wait(threading.Event())
    connection.close()
    with pytest.raises(LeadershipLost), transaction.atomic():
        verify_leadership()
    leads.lose()
    with transaction.atomic():
        verify_leadership()  # who does not lead, as `resync`, has nothing to prove
