"""Where a process that serves reads and writes: replicas, roles that may only read, and limits."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import DEFAULT_DB_ALIAS, InternalError, close_old_connections, connection, connections
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from balances.models import Account
from indexer_project.databases import PRIMARY, serve_from
from tests.balances.api.client import LISTS
from tests.balances.api.routes import every_route, make_ready
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import ROOT, database_url, recorded
from tests.other_database import at
from tests.standby import Standby, hot_standby

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

NOWHERE = "postgresql://nobody@/nothing?host=/nowhere"
PASSWORD = "correct horse battery staple"
(GRANTS,) = re.findall(r"```sql\n(.+?)```", (ROOT / "docs" / "serving.md").read_text(), re.DOTALL)


@contextmanager
def serving(*, database: str = "", replica: str = "", timeout: float = 5.0, pool_size: int = 0) -> Iterator[Client]:
    """A client of a process that serves from these databases, the test database where none is named."""
    before, kept = dict(connections.settings), connections[DEFAULT_DB_ALIAS]
    try:
        serve_from(at(database or database_url()), at(replica) if replica else None, timeout, pool_size)
        connections[DEFAULT_DB_ALIAS] = connections.create_connection(DEFAULT_DB_ALIAS)
        connections[PRIMARY].alias = DEFAULT_DB_ALIAS  # Django lets a test connect to databases it knew before only
        yield Client()
    finally:
        for alias in (DEFAULT_DB_ALIAS, PRIMARY):
            connections[alias].close()
            connections[alias].close_pool()  # type: ignore[attr-defined]  # PostgreSQL's wrapper has pools
        del connections[PRIMARY]
        connections.settings.clear()
        connections.settings.update(before)
        connections[DEFAULT_DB_ALIAS] = kept


def heights(client: Client) -> list[int]:
    """What each list says it is true up to."""
    return [client.get(path).json()["indexedHeight"] for path in LISTS]


def log_in(client: Client) -> int:
    return client.post("/admin/login/", {"username": "admin", "password": PASSWORD}).status_code


@pytest.fixture(scope="module")
def following(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standby]:
    with django_db_blocker.unblock(), hot_standby(tmp_path_factory.mktemp("standby") / "data") as standby:
        yield standby


@pytest.fixture
def standby(following: Standby, transactional_db: None) -> Standby:
    """A hot standby that has what the primary has."""
    following.catch_up()
    return following


@pytest.fixture
def administrator(transactional_db: None) -> None:
    get_user_model().objects.create_superuser("admin", password=PASSWORD)


# Replicas


def test_the_api_reads_the_replica_and_the_admin_writes_to_the_primary(administrator: None, standby: Standby) -> None:
    fill_database("gnotest-1", last=20)
    standby.catch_up()
    standby.pause()
    store_heights(recorded("gnotest-1"), 21, 40)
    apply_pending()
    with serving(replica=standby.url) as client:
        assert heights(client) == [20] * len(LISTS), "what the primary has by now is not in"
        assert log_in(client) == 302
        standby.catch_up()
        assert heights(client) == [40] * len(LISTS)
        assert client.get("/admin/").status_code == 200
    assert Session.objects.filter(pk=client.cookies["sessionid"].value).exists()


def test_on_a_replica_nothing_is_unchanged_while_heights_wait_to_be_applied(standby: Standby) -> None:
    """Which transactions are under way it does not know, so it cannot tell two such states from each other."""
    store_heights(recorded("gnotest-1"), 0, 20)
    standby.catch_up()
    with serving() as client:
        assert len({client.get(LISTS[0])["ETag"] for _ in range(3)}) == 1
    with serving(replica=standby.url) as client:
        assert len({client.get(LISTS[0])["ETag"] for _ in range(3)}) == 3
    apply_pending()
    standby.catch_up()
    with serving(replica=standby.url) as client:
        have = client.get(LISTS[0])["ETag"]
        assert client.get(LISTS[0], headers={"If-None-Match": have}).status_code == 304


def test_the_api_answers_while_the_primary_is_away(standby: Standby) -> None:
    fill_database("gnotest-1")
    make_ready(tip=485)
    standby.catch_up()
    with serving(database=NOWHERE, replica=standby.url) as client:
        for path in every_route():
            assert client.get(path).status_code == 200, path
        client.raise_request_exception = False
        assert log_in(client) == 503


@pytest.mark.parametrize("pool_size", [0, 2])
def test_a_replica_that_comes_back_is_used_again(standby: Standby, pool_size: int) -> None:
    with serving(replica=standby.url, pool_size=pool_size) as client:
        assert client.get(LISTS[0]).status_code == 200
        standby.stop()
        close_old_connections()  # as a server does after each request
        if pool_size:
            connection.pool.timeout = 0.1  # type: ignore[attr-defined]  # PostgreSQL's wrapper has a pool
        away = client.get(LISTS[0])
        assert (away.status_code, away["Retry-After"]) == (503, "5")
        close_old_connections()
        standby.start()
        if pool_size:
            connection.pool.timeout = 5  # type: ignore[attr-defined]  # the same
        assert client.get(LISTS[0]).status_code == 200


# Limits


@pytest.mark.parametrize("path", [LISTS[0], f"{LISTS[-1]}?format=csv", "/admin/login/"])
def test_a_statement_that_takes_too_long_is_stopped(administrator: None, path: str) -> None:
    # It gives the lock up by itself, lest a statement without limit wait for ever.
    gives_up = "-c idle_in_transaction_session_timeout=10s"
    with serving(timeout=0.1) as client, psycopg.connect(database_url(), options=gives_up) as other:
        client.raise_request_exception = False
        other.execute("LOCK chain, auth_user")
        ask = client.post if path.startswith("/admin") else client.get
        refused = ask(path, {"username": "admin", "password": PASSWORD} if path.startswith("/admin") else {})
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert "longer than one statement may take" in refused.json()["detail"]
        other.rollback()
        answered = client.get(path)
        assert answered.status_code == 200
        answered.getvalue()  # a stream is open until it is read


def test_what_does_not_serve_has_no_limit() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)


def test_a_client_that_stops_reading_does_not_keep_its_snapshot_for_ever() -> None:
    with serving(), connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("1min",)


def test_a_pool_with_no_connection_left_is_503() -> None:
    with serving(pool_size=1) as client:
        connection.settings_dict["OPTIONS"]["pool"]["timeout"] = 0.05
        pool = connection.pool  # type: ignore[attr-defined]  # PostgreSQL's wrapper has a pool
        pool.open()
        with pool.connection():
            refused = client.get(LISTS[0])
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert "No connection" in refused.json()["detail"]
        assert client.get(LISTS[0]).status_code == 200


# Only reading


def test_what_the_api_reads_from_cannot_be_written() -> None:
    with serving(), pytest.raises(InternalError, match="read-only"):
        Account.objects.create(address="x")


def test_a_snapshot_costs_no_statement_of_its_own() -> None:
    with serving() as client:
        with CaptureQueriesContext(connection) as captured:
            assert client.get(LISTS[-1]).status_code == 200
        said = [query["sql"] for query in captured.captured_queries]
    assert said[0] == "BEGIN"
    assert not any(statement.startswith("SET") for statement in said)


def test_a_role_that_may_only_select_is_enough(role: str) -> None:
    fill_database("gnotest-1")
    make_ready(tip=485)
    with serving(replica=role) as client:
        for path in every_route():
            assert client.get(path).status_code == 200, path
    with psycopg.connect(role, autocommit=True) as reader:
        for statement in ("INSERT INTO accounts (address) VALUES ('x')", "DELETE FROM balances"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(statement)


def test_the_role_reads_nothing_of_who_administrates(role: str) -> None:
    private = {model._meta.db_table for app in ("auth", "sessions", "admin", "axes") for model in models_of(app)}
    with psycopg.connect(role) as reader:
        rows = reader.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND has_table_privilege(oid, 'SELECT')",
            [list(private)],
        ).fetchall()
    # What may be done is the same in every installation; who may do it is not.
    assert {name for (name,) in rows} == {"auth_group", "auth_group_permissions", "auth_permission"}


def models_of(app: str) -> list[type[Model]]:
    return list(apps.get_app_config(app).get_models(include_auto_created=True))


@pytest.fixture
def role(transactional_db: None) -> Iterator[str]:
    """The role of docs/serving.md; the URL to connect as it."""
    with psycopg.connect(database_url(), autocommit=True) as server:
        host, database = quote(server.info.host, safe=""), server.info.dbname
        server.execute(GRANTS.replace("DATABASE indexer", f'DATABASE "{database}"'))
        try:
            yield f"postgresql://api_reader:change%20me@/{database}?host={host}&port={server.info.port}"
        finally:
            server.execute("DROP OWNED BY api_reader")
            server.execute("DROP ROLE api_reader")
