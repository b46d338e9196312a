"""Who writes: a standby takes over from a leader that died, and from one that only hangs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import OperationalError, connection

from blocks.models import SynchronizerState
from blocks.sync.leadership import Leadership
from blocks.sync.state_reports import Reports
from tests.blocks.sync_runner import wait_until
from tests.conftest import ROOT, database_url

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

# A leader in a process of its own, which says so and then does as little as a leader may.
LEADER = """
import threading, time, django
django.setup()
from blocks.sync.leadership import Leadership
from blocks.models import SynchronizerState
from blocks.sync.state_reports import Reports
Leadership().wait(threading.Event())
print("leads", flush=True)
time.sleep(600)
"""


@contextmanager
def leader() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "indexer_project.settings"}
    process = subprocess.Popen(
        [sys.executable, "-c", LEADER],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "leads\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def takes_over() -> float:
    """Wait to lead; how many seconds it took."""
    started = time.monotonic()
    leadership = Leadership()
    giving_up = threading.Event()
    alarm = threading.Timer(20, giving_up.set)
    alarm.start()
    assert leadership.wait(giving_up), "never came to lead"
    alarm.cancel()
    leadership.resign()
    connection.close()
    return time.monotonic() - started


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
def test_a_standby_takes_over_from_a_leader_that_is_dead_or_frozen(death: signal.Signals) -> None:
    with leader() as process:
        process.send_signal(death)
        takes_over()


def test_a_synchronizer_that_stands_by_is_reported_beside_the_leader() -> None:
    with leader():
        stop, reports = threading.Event(), Reports()
        reports.lead()

        def stand_by() -> None:
            Leadership().wait(stop, Reports().stand_by)
            connection.close()

        standby = threading.Thread(target=stand_by)
        standby.start()
        try:
            wait_until(lambda: SynchronizerState.objects.filter(leads=False).exists())
        finally:
            stop.set()
            standby.join()


def test_a_leader_that_shows_life_is_left_alone() -> None:
    with leader():
        stop = threading.Event()

        def stand_by() -> None:
            Leadership().wait(stop)
            connection.close()

        standby = threading.Thread(target=stand_by)
        standby.start()
        with connection.cursor() as cursor:
            began = time.monotonic()

            def heartbeats_seen() -> bool:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")
                assert cursor.fetchone()[0] == 1
                return time.monotonic() - began > 2.5

            wait_until(heartbeats_seen)
        assert standby.is_alive()
        stop.set()
        standby.join()


def test_a_frozen_leader_that_wakes_up_cannot_write() -> None:
    leadership = Leadership()
    assert leadership.wait(threading.Event())
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        own = cursor.fetchone()[0]
    leadership._stop_heart()  # no heartbeat any more, as if frozen; the lock is still held

    ended = threading.Event()

    def stand_by() -> None:
        other = Leadership()
        other.wait(threading.Event())
        ended.set()
        other.resign()
        connection.close()

    threading.Thread(target=stand_by).start()
    assert ended.wait(20)
    with pytest.raises(OperationalError), connection.cursor() as cursor:
        cursor.execute("SELECT %s", [own])
    connection.close()
