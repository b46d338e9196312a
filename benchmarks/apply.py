"""`make bench-apply`: processors against the least that must be done, with little history and with much.

Prints a table and writes benchmarks/results/apply.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

import psycopg

from benchmarks.database import LEDGER, ROOT, SERVER, SHARED_MEMORY, copies, database, empty, huge_pages, keep, load
from benchmarks.ledger import ACCOUNTS, TRANSFERS_PER_BLOCK, fill_outbox, prefill
from demo.system import sqs

KEYS = {
    "postgres_transfers_per_s", "sqs_transfers_per_s", "floor_ratio", "sqs_requests_per_million",
    "wal_bytes_per_transfer", "rss_mb_max", "history_ratio",
}  # fmt: skip
MAX_MESSAGE_BYTES = 262_144
PAIRS = 5
"""How often little and much history are measured one after the other: the machine changes its speed by the minute."""


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
        """Apply `transfers` transfers through the postgres queue with so many processors, every index up to date."""
        fill_outbox(self.url, self.take_heights(transfers), transfers, self.accounts, MAX_MESSAGE_BYTES)
        before = self.wal()
        said = self.children(["processor"] * number)
        applied = sum(each["transfers"] for each in said)
        assert applied == transfers, (applied, transfers)
        return {
            "rate": transfers / max(each["seconds"] for each in said),
            "wal": (self.wal() - before) / transfers,
            "statements": sum(each["statements"] for each in said) / sum(each["batches"] for each in said),
            "rss_mb": max(each["rss_mb"] for each in said),
        }

    def warm_up(self, history: int, transfers: int) -> None:
        """Apply a tenth of the history, at most two measurements.

        The first change of a page since VACUUM or a checkpoint costs more; a ledger that grew by itself has few such
        pages.
        """
        left = min(history // 10, 2 * transfers)
        while left > 0:
            self.processors(2, min(left, transfers))
            left -= transfers

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
    history, transfers, accounts = (20_000, 4_000, 2_000) if small else (options.history, options.transfers, ACCOUNTS)
    say(f"server: {', '.join(f'{name} = {value}' for name, value in SERVER.items())}")
    with huge_pages(0 if small else SHARED_MEMORY) as reserved, database("apply", SERVER) as url:
        say(f"{reserved}; huge_pages_status = {status_of_huge_pages(url)}")
        fill(url, history // 100, accounts)
        first, *young = (Bench(each, accounts) for each in copies(url, PAIRS + 1))
        first.warm_up(history // 100, transfers)
        say(f"  2 processors: {shown(first.processors(2, transfers))}")
        middle = fill(url, history // 10, accounts)
        middle.warm_up(history // 10, transfers)
        say(f"  2 processors: {shown(middle.processors(2, transfers))}")
        bench = fill(url, history, accounts)
        bench.warm_up(history, transfers)
        say(f"  2 processors: {shown(bench.processors(2, transfers))}")
        pairs = []
        for each in young:
            each.warm_up(history // 100, transfers)
            pairs.append((each.processors(2, transfers), bench.processors(2, transfers)))
            for before, said in zip((history // 100, history), pairs[-1], strict=True):
                say(f"  over {before:,}, 2 processors: {shown(said)}")
        measured = {2: sorted((old for _, old in pairs), key=lambda each: each["rate"])[PAIRS // 2]}
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
        "history_ratio": statistics.median(young["rate"] / old["rate"] for young, old in pairs),
    }
    for name, value in results.items():
        say(f"{name:28} {value:,.3f}")
    keep("apply", results, KEYS, small=small)


def fill(url: str, history: int, accounts: int) -> Bench:
    """A ledger of so many transfers in place of what the database has."""
    empty(url)
    prefill(url, history, accounts)
    load(url, *LEDGER)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")  # none by itself while it is measured
    bench = Bench(url, accounts)
    say(f"history of {history:,} transfers: {bench.sizes()}")
    return bench


def status_of_huge_pages(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW huge_pages_status").fetchone()
    assert row is not None
    return str(row[0])


def shown(each: Mapping[str, float]) -> str:
    return (
        f"{each['rate']:,.0f} transfers/s, {each['statements']:.1f} statements a batch,"
        f" {each['wal']:.0f} WAL bytes a transfer, {each['rss_mb']:.0f} MB"
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
