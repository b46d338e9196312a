"""The API behind a real PgBouncer: as `docs/serving.md` says, with its limits in force."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.core.management.base import CommandError
from django.db import InternalError, connection, connections, transaction

from balances.models import Account
from indexer_project.database_checks import check_database
from tests.balances.api.client import LISTS
from tests.balances.api.fast_path_parity import HISTORY, Both, ask
from tests.balances.api.routes import every_route, make_ready
from tests.chains import fill_database
from tests.conftest import ROOT, database_url
from tests.indexer_project.test_databases import PASSWORD, log_in, serving
from tests.pooler import needs_pgbouncer, pooler

pytestmark = [needs_pgbouncer, pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"
FAST = (f"/tokens/{FOO}/balances", f"/tokens/{FOO}/holders?limit=3", HISTORY)

REFUSED: dict[str, Any] = {}
DROPPED = {"ignore_startup_parameters": "options"}
"""What PgBouncer does with `options`, as it comes and as many set it up."""

SETTINGS = """
SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
       current_setting('transaction_read_only'), current_setting('jit')
"""


@pytest.fixture(params=[REFUSED, DROPPED], ids=["options refused", "options dropped"])
def pooled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of the test database through a PgBouncer in transaction mode, with fewer sessions than clients."""
    with pooler(tmp_path, "transaction", default_pool_size=2, **request.param) as url:
        yield url


@pytest.mark.parametrize("pool_size", [0, 3])
def test_every_route_and_the_fast_path_answer_many_clients_at_a_time(pooled: str, pool_size: int) -> None:
    fill_database("gnotest-1", last=40)
    make_ready(tip=40)
    with serving(database=pooled, pool_size=pool_size) as client:
        for path in every_route():
            assert client.get(path).status_code in (200, 404), path
        both = Both()
        for path in FAST:
            assert both.same(path)[1], "answered by the fast path"
        both.passed_on = 0

        def request(number: int) -> str:
            try:
                return ask(both.express, FAST[number % len(FAST)], {}, "GET").status
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as threads:
            assert set(threads.map(request, range(200))) == {"200 OK"}
        assert both.passed_on == 0


def test_the_limits_are_in_force_inside_and_outside_of_transactions(pooled: str) -> None:
    with serving(database=pooled), connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(SETTINGS)
            assert cursor.fetchone() == ("5s", "1min", "on", "off")
            with transaction.atomic():
                cursor.execute("SELECT %s || '100%%'", ["literal "])
                assert cursor.fetchone() == ("literal 100%",)
                cursor.execute(SETTINGS)
                assert cursor.fetchone() == ("5s", "1min", "on", "off")
                cursor.execute("SHOW transaction_isolation")
                assert cursor.fetchone() == ("repeatable read",)
        with pytest.raises(InternalError, match="read-only"):
            Account.objects.create(address="x")


def test_a_setting_of_one_client_is_not_another_clients(pooled: str) -> None:
    with serving(database=pooled), psycopg.connect(pooled, autocommit=True) as other:
        with connection.cursor() as cursor:
            cursor.execute(SETTINGS)
        assert other.execute("SHOW statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize("path", [LISTS[0], f"{LISTS[-1]}?format=csv", "/admin/login/"])
def test_a_statement_over_the_limit_is_ended(pooled: str, path: str) -> None:
    get_user_model().objects.create_superuser("admin", password=PASSWORD)
    gives_up = "-c idle_in_transaction_session_timeout=10s"
    with psycopg.connect(database_url(), options=gives_up) as other, serving(database=pooled, timeout=0.2) as client:
        client.raise_request_exception = False
        other.execute("LOCK chain, auth_user")
        status = log_in(client) if path.startswith("/admin") else client.get(path).status_code
        assert status == 503
        other.rollback()
        answered = client.get(path)
        assert answered.status_code == 200
        answered.getvalue()  # a stream is open until it is read


def test_the_admin_writes(pooled: str) -> None:
    get_user_model().objects.create_superuser("admin", password=PASSWORD)
    with serving(database=pooled) as client:
        assert log_in(client) == 302
        assert client.get("/admin/").status_code == 200


def test_a_cursor_of_the_server_needs_no_session(pooled: str) -> None:
    """Outside of a transaction it would be looked for in another session."""
    Account.objects.bulk_create(Account(address=f"a{number}") for number in range(5))
    with serving(database=pooled):
        assert len(list(Account.objects.iterator(chunk_size=2))) == 5
        with transaction.atomic():
            assert len(list(Account.objects.iterator(chunk_size=2))) == 5
            with connection.cursor() as cursor:
                cursor.execute(SETTINGS)
                assert cursor.fetchone()[0] == "5s"


def test_settings_in_the_url_are_in_force_too(pooled: str) -> None:
    with serving(database=f"{pooled}?options=-c%20work_mem%3D7MB"), connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == ("7MB",)


def test_prepared_statements_are_what_a_server_without_a_pooler_gets() -> None:
    """The fast path is as fast as before there."""
    fill_database("gnotest-1", last=20)
    with serving():
        both = Both()
        assert both.same(FAST[0])[1]
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements")
            assert cursor.fetchone()[0] > 0


def test_statement_mode_is_refused_by_name(tmp_path: Path) -> None:
    with (
        pooler(tmp_path, "statement") as url,
        serving(database=url),
        pytest.raises(CommandError, match="statement mode"),
    ):
        check_database()


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_what_keeps_a_session_is_refused_behind_transaction_mode_alone(tmp_path: Path, mode: str) -> None:
    with pooler(tmp_path, mode) as url:
        ran = subprocess.run(
            [sys.executable, "manage.py", "processevents", "--until-applied"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "DATABASE_URL": url},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    if mode == "session":
        assert ran.returncode == 0, ran.stderr
    else:
        assert ran.returncode == 1
        assert "DATABASE_URL leads to a pooler in transaction mode; give processevents the server itself" in ran.stderr
        assert "Traceback" not in ran.stderr
