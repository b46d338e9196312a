"""Sessions of processes that write, wait or listen: what servers, roles and databases have by default is not theirs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from postgres import locks
from postgres.connections import connect, connect_async, require_writable
from postgres.locks import Lock
from tests.balances.concurrent_worker import closing_connection, paused_worker
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

DEFAULTS = {
    "statement_timeout": "5s",
    "lock_timeout": "1ms",
    "idle_session_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
}
WANTED = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "1min",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}


@contextmanager
def database_defaults(**values: str) -> Iterator[None]:
    """Settings of the test database, as `ALTER DATABASE … SET` gives them to each new session."""
    name = connection.settings_dict["NAME"]
    with connect(dbname="postgres") as server:
        try:
            for setting, value in values.items():
                server.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
            yield
        finally:
            server.execute(f'ALTER DATABASE "{name}" RESET ALL')


def shown(rows: Any) -> dict[str, str]:
    return {name: value for name, value in rows if name in WANTED}


def elsewhere(work: Any) -> list[Any]:
    """What `work` returns on a new connection of Django's."""
    found: list[Any] = []
    thread = threading.Thread(target=closing_connection, args=[lambda: found.append(work())])
    thread.start()
    thread.join(20)
    return found


_ASK = "SELECT name, current_setting(name) FROM pg_settings"


def ask_django() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(_ASK)
        return shown(cursor.fetchall())


async def ask_async() -> dict[str, str]:
    async with await connect_async() as made:
        return shown(await (await made.execute(_ASK)).fetchall())


def test_no_default_of_the_database_reaches_a_session_that_relies_on_none() -> None:
    with database_defaults(**DEFAULTS):
        assert elsewhere(ask_django) == [WANTED]
        with connect() as made:
            assert shown(made.execute(_ASK).fetchall()) == WANTED
        assert asyncio.run(ask_async()) == WANTED


def test_a_read_only_default_is_respected_and_told() -> None:
    """It may be a provider's guard of a disk that is full."""
    with database_defaults(default_transaction_read_only="on"), pytest.raises(OperationalError, match="read-only"):
        elsewhere_raising(require_writable)
    require_writable()


def elsewhere_raising(work: Any) -> None:
    def told() -> BaseException | None:
        try:
            work()
        except OperationalError as error:
            return error
        return None

    (error,) = elsewhere(told)
    if error is not None:
        raise error


# What a frozen process keeps


def test_a_session_lock_of_a_silent_process_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "FROZEN_SECONDS", 0.2)
    lost: list[bool] = []

    def work(pause: Any) -> None:
        assert locks.try_lock_session(Lock.CORRECTION)
        pause()
        try:
            locks.unlock_session(Lock.CORRECTION)
        except OperationalError:
            lost.append(True)

    with paused_worker(work):
        until(lambda: locks.try_lock_session(Lock.CORRECTION), "the lock of the frozen process")
        locks.unlock_session(Lock.CORRECTION)
    assert lost, "it learns that it lost the lock"
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_session_timeout")
        assert cursor.fetchone() == ("0",), "and silence is allowed again without a lock"


@pytest.mark.parametrize("where", ["copy", "result"])
def test_a_process_that_is_frozen_within_a_statement_loses_its_lock(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "FROZEN_SECONDS", 0.2)
    with closing(connect()) as frozen:
        frozen.execute("CREATE TEMPORARY TABLE sent (line text)")
        frozen.execute(f"SELECT pg_advisory_lock({Lock.CORRECTION.key})")
        # Sent, and from then on silent: the server is in the middle of a statement and waits for its client.
        statement = (
            b"COPY sent FROM STDIN" if where == "copy" else b"SELECT repeat('x', 1000) FROM generate_series(1, 99999)"
        )
        while frozen.pgconn.get_result():
            pass
        frozen.pgconn.send_query(statement)
        frozen.pgconn.flush()
        until(locks.end_stuck_holders, "the frozen session ended")
        assert "A frozen process holds a lock" in caplog.text
        until(lambda: free(Lock.CORRECTION), "the lock")


def free(lock: Lock) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({lock.key}), pg_advisory_unlock({lock.key})")
        return bool(cursor.fetchone()[0])


def test_a_session_that_waits_for_its_client_without_a_lock_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore under the same role copies for hours."""
    monkeypatch.setattr(locks, "FROZEN_SECONDS", 0.0)
    with connect() as restoring:
        restoring.execute("CREATE TEMPORARY TABLE restored (line text)")
        with restoring.cursor().copy("COPY restored FROM STDIN") as copy:
            copy.write("1\n")
            assert locks.end_stuck_holders() == 0
        assert restoring.execute("SELECT count(*) FROM restored").fetchone() == (1,)
