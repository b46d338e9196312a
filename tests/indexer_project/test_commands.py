"""The commands as processes: each needs its own part of the configuration, and names what is missing or wrong."""

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class

from tests.conftest import ROOT, database_url


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` with exactly these variables; DATABASE_URL leads nowhere unless given."""
    variables = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"} | environment
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *names: str, but_not: tuple[str, ...] = ()) -> None:
    assert result.returncode == 1, result
    assert "Traceback" not in result.stderr, result.stderr
    for name in names:
        assert name in result.stderr
    for name in but_not:
        assert name not in result.stderr


def test_runsync_names_the_endpoints_that_it_has_not() -> None:
    assert_refused(manage("runsync"), "TX_INDEXER_URLS is not set", but_not=("SECRET_KEY", "DATABASE_URL"))


def test_runsync_names_every_wrong_variable_of_its_parts_at_once() -> None:
    result = manage(
        "runsync",
        TX_INDEXER_URLS="ws://host/",
        SYNC_CONNECTIONS="abc",
        QUEUE="foo",
        GRC20_UNSIGNED_AMOUNTS="maybe",
        DATABASE_URL="mysql://root@localhost/indexer",
        HTTPS="perhaps",
    )
    assert_refused(
        result,
        "TX_INDEXER_URLS",
        "SYNC_CONNECTIONS='abc'",
        "QUEUE='foo'",
        "GRC20_UNSIGNED_AMOUNTS='maybe'",
        "DATABASE_URL",
        "mysql",
        but_not=("HTTPS",),
    )


def test_processevents_needs_no_endpoint_and_names_a_wrong_queue() -> None:
    result = manage("processevents", "--until-applied", QUEUE="foo", SYNC_CONNECTIONS="abc", HTTPS="perhaps")
    assert_refused(result, "QUEUE='foo'", but_not=("TX_INDEXER_URLS", "SYNC_CONNECTIONS", "SECRET_KEY", "HTTPS"))


def test_status_and_gaps_need_a_database_only() -> None:
    for arguments in (["status"], ["gaps", "list"], ["findgaps"]):
        result = manage(*arguments, DATABASE_URL="mysql://root@localhost/indexer", SYNC_CONNECTIONS="abc")
        assert_refused(result, "DATABASE_URL", but_not=("TX_INDEXER_URLS", "SYNC_CONNECTIONS", "SECRET_KEY"))


def test_resync_needs_endpoints() -> None:
    result = manage("resync", "--from-height", "1", "--to-height", "2")
    assert_refused(result, "TX_INDEXER_URLS is not set")


def test_check_tells_wrong_values_by_name_and_id() -> None:
    result = manage("check", SYNC_CONNECTIONS="abc", QUEUE="foo")
    assert_refused(result, "(indexer.E002)", "SYNC_CONNECTIONS='abc'", "(indexer.E004)", "QUEUE='foo'")


def test_check_of_a_right_configuration_is_silent_about_what_other_processes_need() -> None:
    result = manage("check")
    assert result.returncode == 0, result.stderr


def test_nothing_is_contacted_for_help() -> None:
    result = manage("runsync", "--help")
    assert result.returncode == 0, result.stderr
    assert "--until-tip" in result.stdout


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_processevents_with_nothing_to_do_ends() -> None:
    result = manage("processevents", "--until-applied", DATABASE_URL=database_url())
    assert result.returncode == 0, result.stderr
    assert "Applied 0 transfers in 0 messages." in result.stdout


def test_a_database_that_is_away_is_no_traceback() -> None:
    result = manage("status")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr, result.stderr[-600:]
    assert "127.0.0.1" in result.stderr


# Output that nothing reads


@contextmanager
def unread_pipe() -> Iterator[int]:
    """The end to write to of a pipe whose reader has gone, as `head -1` has."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def unread(*command: str, **environment: str) -> tuple[int, str]:
    """Exit status and standard error of a command whose standard output nothing reads."""
    variables = {"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"} | environment
    with unread_pipe() as pipe:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            env=variables,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["check", "diffsettings"])
def test_a_command_whose_output_nothing_reads_ends_quietly(command: str) -> None:
    assert unread("manage.py", command) == (128 + signal.SIGPIPE, "")


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_status_whose_output_nothing_reads_ends_quietly() -> None:
    assert unread("manage.py", "status", DATABASE_URL=database_url()) == (128 + signal.SIGPIPE, "")


def test_a_broken_connection_that_is_not_the_output_is_still_an_error() -> None:
    code = """
import runpy
from indexer_project import embedded_postgres

def broken(argv):
    raise BrokenPipeError("of a queue")

embedded_postgres.ensure_database_url = broken
runpy.run_path("manage.py", run_name="__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "BrokenPipeError: of a queue" in done.stderr) == (1, True)


# The register


def own_commands() -> dict[str, str]:
    """Every management command of the project's own apps, with its app."""
    own = {config.name for config in apps.get_app_configs() if Path(config.path).resolve().is_relative_to(ROOT)}
    own = {name for name in own if ".venv" not in str(Path(apps.get_app_config(name.split(".")[-1]).path))}
    return {command: app for command, app in get_commands().items() if app in own}


def test_there_are_commands() -> None:
    assert own_commands().keys() >= {"runsync", "processevents", "status"}


@pytest.mark.parametrize("command", sorted(own_commands()))
def test_every_command_is_named_in_some_test_and_says_what_it_is_for(command: str) -> None:
    quoted = (f'"{command}"', f"manage.py {command}")
    here = Path(__file__)
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path != here)
    text += here.read_text().split("# The register")[0]
    assert any(each in text for each in quoted), f"no test runs {command}"
    assert load_command_class(own_commands()[command], command).help


def test_nothing_is_contacted_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing every module of the product opens no socket."""
    import socket

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened at import")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for package in ("blocks", "events", "balances", "indexer_project"):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not module.name.endswith((".wsgi", ".settings")) and ".migrations." not in module.name:
                importlib.import_module(module.name)
