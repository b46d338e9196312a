"""`make bench-sync`: the synchronizer against the wire, against the least that must be done, and live.

Prints a table and writes benchmarks/results/sync.json. TX_INDEXER_URLS, when set, is the source of the wire part.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import live
from benchmarks.database import ROOT, database, empty, keep
from benchmarks.download import download, questions
from dev.localstack import free_port

KEYS = {"wire_ratio", "floor_ratio", "blocks_per_s", "transactions_per_s", "rss_mb_max", "live_ms", "readable_ms"}
CONNECTIONS = 4
WINDOW_BLOCKS = 1000
WINDOW_TRANSACTIONS = 1000
LATENCY = 0.02
# Rows a second that a real tx-indexer gave on two cores, whatever the number of connections (recordings/README.md).
REAL_ROWS_PER_SECOND = 12_000


@contextmanager
def source(blocks: int, transactions: int = 0, *, latency: float = 0.0, rate: float = 0.0) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "benchmarks.source", f"--port={port}", f"--blocks={blocks}",
            f"--transactions={transactions}", f"--latency={latency}", f"--rate={rate}",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}/graphql/query"
    finally:
        process.terminate()
        process.wait()


def backfill(database_url: str, source_url: str, *options: str) -> dict[str, float]:
    """Run one backfill into an empty database; its seconds and resident megabytes."""
    empty(database_url)
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "TX_INDEXER_URLS": source_url,
        "SYNC_CONNECTIONS": str(CONNECTIONS),
        "SYNC_WINDOW_BLOCKS": str(WINDOW_BLOCKS),
        "SYNC_WINDOW_TRANSACTIONS": str(WINDOW_TRANSACTIONS),
        "LOG_LEVEL": "ERROR",
    }
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.backfill", *options], cwd=ROOT, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    measured: dict[str, float] = json.loads(result.stdout)
    return measured


def wire(url: str, blocks: int, transactions: int, rate: float) -> tuple[float, float]:
    """(seconds of a full backfill, seconds of a bare parallel download of the same rows) over 20 ms of latency."""
    given = os.environ.get("TX_INDEXER_URLS")
    if given:
        asked = questions(given, WINDOW_BLOCKS, WINDOW_TRANSACTIONS)
        return backfill(url, given)["seconds"], download(given, asked, CONNECTIONS)
    with source(blocks, transactions) as quick:
        asked = questions(quick, WINDOW_BLOCKS, WINDOW_TRANSACTIONS)
    with source(blocks, transactions, latency=LATENCY, rate=rate) as slow:
        bare = download(slow, asked, CONNECTIONS)
        return backfill(url, slow)["seconds"], bare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small: only that it runs and fills its keys")
    small = parser.parse_args().smoke
    empty_number, full_number, wire_number = (2_000, 20, 500) if small else (200_000, 1_000, 20_000)
    curve = (1_000, 2_000) if small else (10_000, 100_000, 1_000_000)
    results: dict[str, object] = {}
    with database("sync") as url:
        synced, bare = wire(url, wire_number, 2, REAL_ROWS_PER_SECOND)
        results["wire_ratio"] = synced / bare
        say(f"wire: backfill {synced:.2f} s, bare download {bare:.2f} s (a real server's rate)")
        if not os.environ.get("TX_INDEXER_URLS"):
            synced, bare = wire(url, wire_number, 2, 0)
            results["wire_ratio_unbounded"] = synced / bare
            say(f"wire, a server without limit: backfill {synced:.2f} s, bare download {bare:.2f} s")
        with source(empty_number) as blocks:
            results["blocks_per_s"] = empty_number / backfill(url, blocks)["seconds"]
        with source(full_number, 100) as transactions:
            took = backfill(url, transactions)["seconds"]
            least = backfill(url, transactions, "--floor")["seconds"]
        results["transactions_per_s"] = full_number * 100 / took
        results["floor_ratio"] = took / least
        say(f"work: {full_number * 100} transactions in {took:.2f} s, floor {least:.2f} s")
        rss = {}
        for number in curve:
            with source(number) as blocks:
                rss[number] = backfill(url, blocks)["rss_mb"]
            say(f"memory: {number:>9,} blocks  {rss[number]:.0f} MB resident")
        results["rss_mb_max"] = max(rss.values())
        results["rss_mb"] = {str(number): value for number, value in rss.items()}
        empty(url)
        results |= live.measure(url, 10 if small else 200, 0.05)
    for name, value in results.items():
        say(f"{name:24} {json.dumps(value)}")
    keep("sync", results, KEYS, small=small)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
