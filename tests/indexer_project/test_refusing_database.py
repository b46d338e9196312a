"""A database that answers and refuses: every process waits, says so once, and goes on by itself."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from balances.indexed_height import read_indexed_height
from balances.models import CheckpointWalk
from postgres.connections import connect
from replay.recording import Recording
from replay.server import ReplaySource
from tests.balances.stream.stream_server import Client
from tests.blocks.test_store import terminate_others
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import database_url, recorded
from tests.daemons import Daemon, daemons
from tests.indexer_project.test_commands import manage
from tests.polling import until
from tests.standby import hot_standby

pytestmark = [pytest.mark.db, pytest.mark.indexer, pytest.mark.django_db(transaction=True)]

ALL = ("runsync", "processevents", "runstream")


@pytest.fixture(scope="module")
def gnotest() -> Recording:
    return recorded("gnotest-1")


@contextmanager
def database(statement: str, undo: str) -> Iterator[psycopg.Connection]:
    """The test database in a state, which its sessions meet after they are ended; undone at the end of the block."""
    name = connection.settings_dict["NAME"]
    with connect(dbname="postgres") as server:
        server.execute(statement.format(name=f'"{name}"'))
        try:
            terminate_others()
            yield server
        finally:
            server.execute(undo.format(name=f'"{name}"'))


def read_only() -> AbstractContextManager[object]:
    """As a provider does when a disk is full, or a standby that was not promoted yet."""
    return database(
        "ALTER DATABASE {name} SET default_transaction_read_only = on",
        "ALTER DATABASE {name} RESET default_transaction_read_only",
    )


def closed() -> AbstractContextManager[object]:
    return database("ALTER DATABASE {name} ALLOW_CONNECTIONS false", "ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@contextmanager
def being_restored() -> Iterator[None]:
    """Tables that every process needs are not there."""
    names = ("chain", "checkpoint_walk", "outbox", "blocks")
    with connection.cursor() as cursor:
        cursor.execute("; ".join(f"ALTER TABLE {name} RENAME TO {name}_saved" for name in names))
        try:
            yield
        finally:
            cursor.execute("; ".join(f"ALTER TABLE {name}_saved RENAME TO {name}" for name in names))


def test_all_processes_wait_once_and_go_on(tmp_path: Path, gnotest: Recording) -> None:
    hurried = "from balances import checkpoint_worker; checkpoint_worker.PAUSE_SECONDS = 0.5"
    with (
        ReplaySource(gnotest, start=30) as source,
        daemons(tmp_path, *ALL, sabotage=hurried, TX_INDEXER_URLS=source.url) as (sync, processor, stream),
    ):
        until(lambda: walked() == 29, "checkpoints")
        stream.says("The stream is at")
        client = Client(stream.stream_port, "/events/stream")
        client.take("progress")
        told = [(sync, "Synchronizer"), (processor, "Processor"), (processor, "Checkpoints")]
        for times, refusing in enumerate((read_only, being_restored, closed), 1):
            tip = 29 + 10 * times
            with refusing():
                source.advance(10)
                until(partial(all_say, told, "wait", times), f"one line each: {refusing.__name__}")
            # Sessions that were opened meanwhile are not ended: who waits opens new ones.
            until(partial(reached, tip), f"height {tip} after {refusing.__name__}")
            until(partial(all_say, told, "go", times), f"one line each after {refusing.__name__}")
            assert len(stream.lines("Stream waits")) <= times
        assert client.take("transfer").data["blockHeight"] > 29
        client.close()
        for each in (sync, processor, stream):
            each.runs()
            assert "Traceback" not in each.text, each.text
            assert each.stop() == 0


def all_say(told: list[tuple[Daemon, str]], word: str, times: int) -> bool:
    for each, name in told:
        each.runs()
        if len(each.lines(f"{name} {word}")) != times:
            return False
    return True


def reached(height: int) -> bool:
    return read_indexed_height().height == walked() == height


def walked() -> int:
    walk = CheckpointWalk.objects.first()
    return -1 if walk is None else walk.height


def test_a_stream_that_starts_without_a_database_waits_for_it(tmp_path: Path) -> None:
    fill_database("gnotest-1", last=5)
    with daemons(tmp_path) as _, closed():
        stream = Daemon(tmp_path / "early.log", "runstream")
        try:
            stream.says("Start waits for the database")
            with connect_reopening():
                stream.says("The stream is at")
            assert stream.stop() == 0
        finally:
            stream.process.kill()
            stream.process.wait()
    assert len(stream.lines("Start waits")) == len(stream.lines("Start goes on")) == 1


@contextmanager
def connect_reopening() -> Iterator[None]:
    with connect(dbname="postgres") as server:
        server.execute(f'ALTER DATABASE "{connection.settings_dict["NAME"]}" ALLOW_CONNECTIONS true')
        yield


def test_a_stream_beside_a_standby_that_refuses_to_listen_looks_by_itself(tmp_path: Path) -> None:
    fill_database("gnotest-1", last=12)
    with (
        hot_standby(tmp_path / "standby") as standby,
        daemons(tmp_path, "runstream", DATABASE_URL=standby.url) as (stream,),
    ):
        stream.says("Notifications refused")
        client = Client(stream.stream_port, "/events/stream")
        client.take("progress")
        store_heights(recorded("gnotest-1"), 13, 20)
        apply_pending()
        standby.catch_up()
        assert client.take("transfer").data["blockHeight"] > 12
        client.close()
        assert len(stream.lines("Notifications refused")) == 1
        assert "waits" not in stream.text
        assert stream.stop() == 0


def test_limits_of_the_role_or_database_are_not_those_of_a_processor(tmp_path: Path) -> None:
    """Each insert of transfers takes longer than any statement may, by default."""
    store_heights(recorded("gnotest-1"), 0, 20)
    limits = " ".join(
        f"ALTER DATABASE {{name}} SET {name} = '{value}';"
        for name, value in {"statement_timeout": "300ms", "idle_session_timeout": "300ms"}.items()
    )
    with slow_transfers(0.5), database(limits, "ALTER DATABASE {name} RESET ALL"):
        result = manage("processevents", "--until-applied", DATABASE_URL=database_url())
    assert result.returncode == 0, result.stderr
    assert "waits" not in result.stderr
    assert read_indexed_height().height == 20


@contextmanager
def slow_transfers(seconds: float) -> Iterator[None]:
    """Each statement that inserts transfers takes so long."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;"
            " CREATE TRIGGER slow AFTER INSERT ON transfers FOR EACH STATEMENT EXECUTE FUNCTION take_time()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER slow ON transfers; DROP FUNCTION take_time()")


def test_a_command_that_is_refused_says_so_in_one_line() -> None:
    fill_database("gnotest-1", last=5)
    with read_only():
        result = manage("checkpoints", "--forget-from", "0", DATABASE_URL=database_url())
    assert result.returncode == 1
    assert "Traceback" not in result.stderr, result.stderr
    assert "The database refuses" in result.stderr
    assert "read-only" in result.stderr
