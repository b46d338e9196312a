"""The benchmarks' PostgreSQL: embedded, apart from every other, with the defaults of the server."""

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from indexer_project import embedded_postgres

_HUGE_PAGES = Path("/proc/sys/vm/nr_hugepages")
ROOT = Path(__file__).resolve().parent.parent
SERVER = {"shared_buffers": "6GB", "max_wal_size": "48GB", "checkpoint_timeout": "30min", "jit": "off"}
"""What any server for such a database would be given; none of it is about durability, which is as the server has it."""

SHARED_MEMORY = 6_800 << 20
"""Bytes: the buffers, and what PostgreSQL keeps beside them."""

LEDGER = (
    ("transfers", "from_account_id", "from_account_id, block_height, tx_index, event_index"),
    ("transfers", "to_account_id", "to_account_id, block_height, tx_index, event_index"),
    ("balances", "amount", "account_id, token_id"),
    ("accounts", "address", "address"),
)
"""The walks of `load` over what both applying and answering touch."""

TABLES = (
    "blocks, transactions, chain, accepted_gaps, incomplete_heights, endpoint_states, synchronizer_states, outbox,"
    " refused_events, set_aside_messages, tokens, token_totals, announcements, accounts, transfers,"
    " balances, checkpoint_walk, checkpoint_counts, checkpoint_marks, balance_checkpoints"
)


@contextmanager
def database(name: str, server: Mapping[str, str] | None = None, *, emptied: bool = True) -> Iterator[str]:
    """A migrated database, empty unless told not to; its URL. `server`: its settings, where they are not the defaults.

    DATABASE_URL, when set, is used instead, with its server as it is.
    """
    url = os.environ.get("DATABASE_URL")
    folder = ROOT / ".data" / f"benchmark-{name}"
    if not url:
        if server:
            # In a process of its own, which stops the server: some settings are read at its start only.
            setting = multiprocessing.get_context("spawn").Process(target=_set, args=(folder, server))
            setting.start()
            setting.join()
        url = embedded_postgres.start(folder)
    environment = {**os.environ, "DATABASE_URL": url}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity=0"], cwd=ROOT, env=environment, check=True)
    if emptied:
        empty(url)
    try:
        yield url
    finally:
        if not os.environ.get("DATABASE_URL"):
            embedded_postgres.stop(folder)


def _set(folder: Path, server: Mapping[str, str]) -> None:
    with psycopg.connect(embedded_postgres.start(folder), autocommit=True) as connection:
        for setting, value in server.items():
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'")
    embedded_postgres.stop(folder)


@contextmanager
def huge_pages(size: int) -> Iterator[str]:
    """Room for so many bytes in huge pages, where we may make it, given back afterwards; says what was done.

    With pages of 4 kB a good part of the processor's time goes into finding where memory is, in buffers of gigabytes.
    PostgreSQL takes huge pages by itself where there are any (`huge_pages = try`).
    """
    try:
        before = int(_HUGE_PAGES.read_text())
        _HUGE_PAGES.write_text(str(before + size // (2 << 20)))
    except OSError as error:
        yield f"no huge pages were reserved ({error.strerror}): see docs/scale.md"
        return
    try:
        yield f"{int(_HUGE_PAGES.read_text()) - before:,} huge pages reserved until the end"
    finally:
        _HUGE_PAGES.write_text(str(before))


def copies(url: str, number: int) -> list[str]:
    """So many databases beside this one on its server, each as it is now; their URLs. Those made earlier are gone.

    Made without a checkpoint, which is PostgreSQL's default. Nobody may be connected to the copied database.
    """
    parts = urlsplit(url)
    name = parts.path.strip("/")
    urls = []
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        for each in range(1, number + 1):
            copy = f"{name}_{each}"
            connection.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
            urls.append(parts._replace(path=f"/{copy}").geturl())
    return urls


def load(url: str, *walks: tuple[str, str, str]) -> None:
    """Have the server read tables into its buffers, where the pages of what is in use would be.

    Each walk is a table, a column, and the columns of an index, along which it goes; the table itself is read when the
    column is not in the index.
    """
    with psycopg.connect(url) as connection:
        connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET max_parallel_workers_per_gather = 0")
        for table, column, index in walks:
            connection.execute(
                f"SELECT count(said) FROM (SELECT {column} AS said FROM {table} ORDER BY {index} OFFSET 0) AS walked"
            )


def check(figures: Mapping[str, Any], expected: Collection[str]) -> None:
    """End the process, saying which, when a figure that is expected is not there."""
    if missing := set(expected) - figures.keys():
        raise SystemExit(f"no figure for {', '.join(sorted(missing))}")


def keep(name: str, results: Mapping[str, Any], expected: Collection[str], *, small: bool) -> None:
    """`check` what was measured and write it to benchmarks/results/`name`.json; `small` means nothing, and is not."""
    check(results, expected)
    if small:
        return
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


def empty(url: str) -> None:
    """Empty every table, so that a measurement starts from nothing."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY")
        connection.execute("CHECKPOINT")
