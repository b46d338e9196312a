"""`make bench-apply`: processors against the least that must be done, with little history and with much.

Prints a table and writes benchmarks/results/apply.json.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping

import psycopg

from benchmarks.database import ROOT, SERVER, database, empty, huge_pages, keep
from benchmarks.ledger import TRANSFERS_PER_BLOCK, fill_outbox, prefill
from demo.system import sqs

KEYS = {
    "postgres_transfers_per_s", "sqs_transfers_per_s", "floor_ratio", "sqs_requests_per_million",
    "wal_bytes_per_transfer", "rss_mb_max", "history_ratio",
}  # fmt: skip
MAX_MESSAGE_BYTES = 262_144
SHARED_MEMORY = 4_600 << 20
"""Bytes: the buffers, and what PostgreSQL keeps beside them."""


class Bench:
    """One database, and heights that were not used yet."""

    def __init__(self, url: str, accounts: int) -> None:
        self.url = url
        self.accounts = accounts
        self.height = 10_000_000

    def sizes(self) -> str:
        """Bytes a row of each of the large tables, as they are: the table, and its indexes."""
        said = []
        with psycopg.connect(self.url) as connection:
            for table in ("transfers", "balances", "accounts"):
                row = connection.execute(
                    f"SELECT pg_table_size('{table}') / count(*), pg_indexes_size('{table}') / count(*) FROM {table}"
                ).fetchone()
                assert row is not None
                said.append(f"{table} {row[0]} + {row[1]} bytes a row")
        return ", ".join(said)

    def take_heights(self, transfers: int) -> int:
        first, self.height = self.height, self.height + transfers // TRANSFERS_PER_BLOCK + 10
        return first

    def children(self, parts: list[str], **environment: str) -> list[dict[str, float]]:
        """Run processes of benchmarks.applying that begin together; what each of them measured."""
        known = {**os.environ, "DATABASE_URL": self.url, "LOG_LEVEL": "ERROR", **environment}
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.applying", part],
                cwd=ROOT,
                env=known,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for part in parts
        ]
        for child in running:
            assert child.stdout is not None
            child.stdout.readline()
        for child in running:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate()[0]) for child in running]

    def wal(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def processors(self, number: int, transfers: int) -> dict[str, float]:
        """Apply `transfers` transfers through the postgres queue with so many processors."""
        fill_outbox(self.url, self.take_heights(transfers), transfers, self.accounts, MAX_MESSAGE_BYTES)
        before = self.wal()
        said = self.children(["processor"] * number)
        applied = sum(each["transfers"] for each in said)
        assert applied == transfers, (applied, transfers)
        return {
            "rate": transfers / max(each["seconds"] for each in said),
            "ranked_rate": transfers / max(each["and_ranked_seconds"] for each in said),
            "wal": (self.wal() - before) / transfers,
            "statements": sum(each["statements"] for each in said) / sum(each["batches"] for each in said),
            "rss_mb": max(each["rss_mb"] for each in said),
        }

    def floor(self, transfers: int) -> float:
        """Transfers a second of the floor."""
        first = self.take_heights(transfers)
        numbers = {"BENCH_FIRST": first, "BENCH_TRANSFERS": transfers, "BENCH_ACCOUNTS": self.accounts}
        (said,) = self.children(["floor"], **{name: str(value) for name, value in numbers.items()})
        return transfers / said["seconds"]

    def through_sqs(self, transfers: int, processors: int) -> dict[str, float]:
        """From the outbox through LocalStack to applied."""
        messages = fill_outbox(self.url, self.take_heights(transfers), transfers, self.accounts, MAX_MESSAGE_BYTES)
        with sqs(ROOT / ".data") as environment:
            said = self.children(
                ["relay", *["processor"] * processors],
                QUEUE="sqs", SQS_MAX_MESSAGE_BYTES=str(MAX_MESSAGE_BYTES), **environment,
            )  # fmt: skip
        assert sum(each.get("transfers", 0) for each in said) >= transfers
        requests = sum(each["requests"] for each in said)
        seconds = max(each["seconds"] for each in said if "transfers" in each)
        return {"rate": transfers / seconds, "requests": requests * 1_000_000 / transfers, "messages": messages}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small: only that it runs and fills its keys")
    parser.add_argument("--history", type=int, default=10_000_000, help="transfers that are there before (10,000,000)")
    parser.add_argument(
        "--transfers", type=int, default=1_000_000, help="transfers applied in each measurement (1,000,000)"
    )
    options = parser.parse_args()
    small = options.smoke
    history, transfers, accounts = (20_000, 4_000, 2_000) if small else (options.history, options.transfers, 1_000_000)
    say(f"server: {', '.join(f'{name} = {value}' for name, value in SERVER.items())}")
    young = 0.0
    with huge_pages(0 if small else SHARED_MEMORY) as reserved, database("apply", SERVER) as url:
        say(f"{reserved}; huge_pages_status = {status_of_huge_pages(url)}")
        bench = Bench(url, accounts)
        for before in (history // 100, history // 10, history):
            empty(url)
            prefill(url, before, accounts)
            say(f"history of {before:,} transfers: {bench.sizes()}")
            # The first change of a page since VACUUM costs more, and a ledger that grew by itself has few such pages.
            bench.processors(2, min(before // 10, transfers))
            measured = {2: bench.processors(2, transfers)}
            young = young or measured[2]["rate"]
            say(f"  2 processors: {shown(measured[2])}")
        for number in (1, 3):
            measured[number] = bench.processors(number, transfers)
            say(f"  {number} processors: {shown(measured[number])}")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        say(f"  2 processors, right after a checkpoint: {shown(bench.processors(2, transfers))}")
        best = max(measured.values(), key=lambda each: each["rate"])
        floor = bench.floor(transfers)
        say(f"  floor: {floor:,.0f} transfers/s")
        through = bench.through_sqs(transfers, 2)
    results = {
        "postgres_transfers_per_s": best["rate"],
        "sqs_transfers_per_s": through["rate"],
        "floor_ratio": floor / best["rate"],
        "sqs_requests_per_million": through["requests"],
        "wal_bytes_per_transfer": best["wal"],
        "rss_mb_max": max(each["rss_mb"] for each in measured.values()),
        "history_ratio": young / measured[2]["rate"],
    }
    for name, value in results.items():
        say(f"{name:28} {value:,.3f}")
    if missing := KEYS - results.keys():
        raise SystemExit(f"no figure for {', '.join(sorted(missing))}")
    if not small:
        keep("apply", results)


def status_of_huge_pages(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW huge_pages_status").fetchone()
    assert row is not None
    return str(row[0])


def shown(each: Mapping[str, float]) -> str:
    return (
        f"{each['rate']:,.0f} transfers/s, {each['ranked_rate']:,.0f} with the ranking of holders that follows, "
        f"{each['statements']:.1f} statements a batch, {each['wal']:.0f} WAL bytes a transfer, {each['rss_mb']:.0f} MB"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
