"""The benchmarks' PostgreSQL: embedded, apart from every other, with the defaults of the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from indexer_project import embedded_postgres

ROOT = Path(__file__).resolve().parent.parent
TABLES = (
    "blocks, transactions, chain, accepted_gaps, incomplete_heights, endpoint_states, outbox, refused_events,"
    " set_aside_messages, tokens, token_totals, announcements, accounts, transfers, balances"
)


@contextmanager
def database(name: str) -> Iterator[str]:
    """A migrated, empty database; its URL. DATABASE_URL, when set, is used instead: its tables are emptied."""
    url = os.environ.get("DATABASE_URL")
    folder = ROOT / ".data" / f"benchmark-{name}"
    if not url:
        url = embedded_postgres.start(folder)
    environment = {**os.environ, "DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
    empty(url)
    try:
        yield url
    finally:
        if not os.environ.get("DATABASE_URL"):
            embedded_postgres.stop(folder)


def empty(url: str) -> None:
    """Empty every table, so that a measurement starts from nothing."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY")
        connection.execute("CHECKPOINT")
