"""A database that cannot hold the index, or that this process may not use, is refused at the start, in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client
from psycopg import sql

from balances.indexed_height import read_indexed_height
from indexer_project.database_checks import READ, WRITE, check_database
from postgres.backend import base
from tests.balances.api.client import LISTS
from tests.chains import fill_database
from tests.conftest import database_url
from tests.indexer_project.test_commands import manage
from tests.other_database import connected

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@contextmanager
def database(name: str, how: str = "") -> Iterator[str]:
    """The URL of a new database, made as `how` says."""
    url = database_url()
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0 {how}")
        try:
            yield re.sub(r"/[^/]+$", f"/{name}", url)
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_KR"])
def test_an_encoding_that_cannot_hold_every_character_is_refused_by_name(encoding: str) -> None:
    with database("encoded", f"ENCODING '{encoding}' LOCALE 'C'") as url, connected(url):
        for refused in (lambda: call_command("migrate", verbosity=0), check_database):
            with pytest.raises(CommandError, match=f"encoded in {encoding}.*ENCODING 'UTF8'"):
                refused()


def test_a_server_that_is_too_old_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "LEAST_VERSION", 990_000)
    connection.close()
    for refused in (lambda: call_command("migrate", verbosity=0), check_database):
        with pytest.raises(CommandError, match="99 or newer is needed"):
            refused()


def test_a_database_without_tables_is_told_in_one_line_by_every_process() -> None:
    with database("empty") as url:
        environment = {"DATABASE_URL": url, "SECRET_KEY": "x", "TX_INDEXER_URLS": "http://127.0.0.1:1/q"}
        for command in (["runsync"], ["status"]):
            ran = manage(*command, **environment)
            assert ran.returncode == 1
            assert "run manage.py migrate" in ran.stderr
            assert len(ran.stderr.splitlines()) == 1, ran.stderr


def test_what_only_a_newer_version_has_is_told() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('balances', '9999_future', now())")
        try:
            with pytest.raises(CommandError, match=r"newer version.*balances\.9999_future"):
                check_database()
            with pytest.raises(CommandError, match="newer version"):
                call_command("migrate", verbosity=0)
        finally:
            cursor.execute("DELETE FROM django_migrations WHERE name = '9999_future'")


def test_a_schema_that_is_not_there_is_told_with_the_search_path() -> None:
    with connected(f"{database_url()}?options=-csearch_path%3Dnowhere"):
        for refused in (lambda: call_command("migrate", verbosity=0), check_database):
            with pytest.raises(CommandError, match=r"search_path \(nowhere\).*CREATE SCHEMA"):
                refused()


@pytest.fixture
def reader() -> Iterator[str]:
    """The URL to connect as a role that may do nothing but connect."""
    url = database_url()
    with psycopg.connect(url, autocommit=True) as server:
        name = sql.Identifier(server.info.dbname)
        server.execute("CREATE ROLE checked LOGIN PASSWORD 'x'")
        server.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM public").format(name))
        try:
            yield re.sub(r"//[^@]*@", "//checked:x@", url)
        finally:
            server.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO public").format(name))
            server.execute("DROP OWNED BY checked; DROP ROLE checked")


def test_privileges_that_are_lacking_are_told_by_role_and_table(reader: str) -> None:
    def refused(privileges: tuple[str, ...], message: str) -> None:
        with connected(reader), pytest.raises(CommandError, match=message):
            check_database(privileges)

    with psycopg.connect(database_url(), autocommit=True) as server:
        refused(READ, "The role checked may not read the schema public")
        server.execute("GRANT SELECT ON django_migrations TO checked")
        refused(READ, "may not SELECT in .*accounts, .*GRANT")
        server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO checked")
        with connected(reader):
            check_database(READ)
        refused(WRITE, "may not DELETE in .*accounts")
        server.execute("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO checked")
        refused(WRITE, "may not make temporary tables: GRANT TEMPORARY ON DATABASE")


def test_defaults_of_the_server_change_nothing(client: Client) -> None:
    """Each of them breaks how values are read or written, or ends what takes its time, where it is not set aside."""
    defaults = {
        "datestyle": "German",
        "intervalstyle": "iso_8601",
        "timezone": "Asia/Seoul",
        "standard_conforming_strings": "off",
        "bytea_output": "escape",
        "array_nulls": "off",
        "extra_float_digits": "-15",
        "default_transaction_isolation": "serializable",
        "statement_timeout": "1ms",
        "lock_timeout": "1ms",
        "client_encoding": "LATIN1",
    }
    name = sql.Identifier(connection.settings_dict["NAME"])
    with psycopg.connect(database_url(), autocommit=True) as server:
        try:
            for setting, value in defaults.items():
                server.execute(
                    sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
                )
            connection.close()
            fill_database("gnotest-1", last=40)
            assert read_indexed_height().height == 40
            for path in (*LISTS, "/blocks/20"):
                assert client.get(path).json()["indexedHeight"] == 40
        finally:
            server.execute("SET statement_timeout = 0")
            server.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
    connection.close()
