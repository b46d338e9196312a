"""`make bench-api`: the API's routes under load, over a large ledger, and the balance route against a bare handler.

Prints a table and writes benchmarks/results/api.json. wrk (one thread), the server and PostgreSQL share the machine.
"""

import argparse
import base64
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

from benchmarks.api_data import Size, fill
from benchmarks.api_load import Load, Processes, Route, Wrk, ask, has_wrk, serve
from benchmarks.database import LEDGER, SERVER, check, database, huge_pages, keep, load

KEYS = {"handmade_ratio", "p99_ms_max", "routes"}
OF_ROUTE = {"requests_per_s", "p50_ms", "p99_ms"}
SHARE = 0.8
"""Of the saturation rate: where latency is measured."""
SAMPLES = 100_000
NO_WRK = "wrk is not installed, and it makes the load: apt-get install wrk (Debian, Ubuntu)."

APPLICATION = "indexer_project.wsgi:application"
BARE = "benchmarks.api_bare:application"
CHOSEN = Processes(workers=2, threads=2)
TIMES = 3
"""How often every route is measured, all of them each time: the machine changes its speed by the minute."""

LARGE = SERVER | {"shared_buffers": "14GB"}
"""What is asked for fits into the buffers; a machine may give its page cache to nobody, and ours does."""
LARGE_MEMORY = 15_200 << 20
"""Bytes: the buffers, and what PostgreSQL keeps beside them."""
TRIED = [Processes(workers, threads) for workers in (1, 2, 3) for threads in (1, 2, 4)]


def routes(url: str, port: int) -> list[Route]:
    """What is asked: of random accounts and tokens, of one ordinary account, and of the busiest."""
    with psycopg.connect(url) as connection:
        accounts = [
            str(row[0])
            for row in connection.execute(
                "SELECT address FROM accounts TABLESAMPLE SYSTEM (20) REPEATABLE (1) ORDER BY random() LIMIT %s",
                [SAMPLES],
            )
        ]
        pairs = connection.execute(
            "SELECT address, path FROM ("
            " SELECT account_id, token_id FROM balances TABLESAMPLE SYSTEM (20) REPEATABLE (1)"
            " ORDER BY random() LIMIT %s) AS held"
            " JOIN tokens ON tokens.id = token_id JOIN accounts ON accounts.id = account_id",
            [SAMPLES],
        ).fetchall()
        busiest = "SELECT address FROM accounts WHERE id = 1"
        busy = str((connection.execute(busiest).fetchone() or [""])[0])
        tokens = [str(row[0]) for row in connection.execute("SELECT path FROM tokens")]
        heights = int(str((connection.execute("SELECT tip FROM chain").fetchone() or [0])[0]))
    history = "/tokens/transfer-history?address="
    balances = [f"/tokens/{path}/balances?address={address}" for address, path in pairs]
    of_busy = [f"/tokens/{path}/balances?address={busy}" for path in tokens]
    return [
        Route("balance", balances),
        Route("tokens of an account", [f"/tokens/balances?address={address}" for address in accounts]),
        Route("history, ordinary", [history + address for address in accounts]),
        Route("history, busy", [history + busy]),
        Route("history, busy, deep", deep(port, history + busy)),
        Route("holders", [f"/tokens/{path}/balances" for path in tokens]),
        Route("balance at a height", at_heights(balances, heights)),
        Route("balance at a height, busy", at_heights(of_busy, heights)),
        Route("304", [f"/tokens/balances?address={address}" for address in accounts], known=True),
    ]


def at_heights(paths: Sequence[str], heights: int) -> list[str]:
    """The paths, each at some height of the later half of the chain."""
    return [f"{random.choice(paths)}&height={random.randrange(heights // 2, heights)}" for _ in range(SAMPLES)]


def deep(port: int, path: str) -> list[str]:
    """Pages from all over the history of `path`: its first cursor, moved to other heights."""
    _, _, body = ask(port, path)
    following = urlsplit(json.loads(body)["next"])
    cursor = parse_qs(following.query)["cursor"][0]
    version, scope, height, *rest = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    moved = []
    for _ in range(1000):
        position = json.dumps([version, scope, random.randrange(height // 2, height), *rest], separators=(",", ":"))
        moved.append(base64.urlsafe_b64encode(position.encode()).decode().rstrip("="))
    return [f"{path}&cursor={quote(each)}" for each in moved]


def choose(url: str, folder: Path, seconds: float) -> None:
    """How many processes and threads: the same load on each."""
    for processes in TRIED:
        with serve(APPLICATION, url, processes) as port:
            route = routes(url, port)[1]
            wrk = Wrk(port, route, folder)
            wrk.saturate(1)
            load = wrk.saturate(seconds)
        say(f"{processes!s:8} processes x threads: {shown(load)}")


def against_bare(url: str, folder: Path, seconds: float, rounds: int) -> float:
    """Our requests a second ÷ the bare handler's, in turns; the median of the rounds."""
    ratios = []
    with serve(APPLICATION, url, CHOSEN) as ours, serve(BARE, url, CHOSEN) as theirs:
        route = routes(url, ours)[0]
        (path, *_) = route.paths
        assert json.loads(ask(ours, path)[2]) == json.loads(ask(theirs, path)[2]), path
        both = [Wrk(ours, route, folder), Wrk(theirs, Route("bare", route.paths), folder)]
        for wrk in both:
            wrk.saturate(1)
        for _ in range(rounds):
            own, bare = (wrk.saturate(seconds) for wrk in both)
            say(f"balance {shown(own)}; bare handler {shown(bare)}")
            ratios.append(own.rate / bare.rate)
    return statistics.median(ratios)


def measure(url: str, folder: Path, seconds: float, names: Collection[str] = ()) -> dict[str, dict[str, float]]:
    """Each route at saturation, and at 80 % of it. Of routes that are not in `names`, if there are any, one request."""
    measured = {}
    with serve(APPLICATION, url, CHOSEN) as port:
        for route in routes(url, port):
            wrk = Wrk(port, route, folder)
            if names and route.name not in names:
                continue
            wrk.saturate(1)
            full = wrk.saturate(seconds)
            eased = wrk.at(full.rate * SHARE, seconds)
            say(f"{route.name:24} saturated {shown(full)}; eased {shown(eased)} ({eased.rate / full.rate:.0%})")
            measured[route.name] = {
                "requests_per_s": full.rate,
                "p50_ms": eased.p50,
                "p99_ms": eased.p99,
                "saturated_p50_ms": full.p50,
                "saturated_p99_ms": full.p99,
                "eased_requests_per_s": eased.rate,
            }
    return measured


def shown(load: Load) -> str:
    return f"{load.rate:7,.0f}/s p50 {load.p50:5.1f} p99 {load.p99:6.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small: only that it runs and fills its keys")
    parser.add_argument("--balances", type=int, default=10_000_000, help="about so many (10,000,000)")
    parser.add_argument("--transfers", type=int, default=50_000_000, help="(50,000,000)")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement (10)")
    parser.add_argument("--processes", action="store_true", help="measure other numbers of processes and threads too")
    options = parser.parse_args()
    if not has_wrk() and not options.smoke:
        raise SystemExit(NO_WRK)
    size = Size(20_000, 100_000) if options.smoke else Size(options.balances, options.transfers)
    seconds, rounds = (1, 1) if options.smoke else (options.seconds, 5)
    # What was made is kept: at full size it takes half an hour, and 20 GB under .data/ until `make clean`.
    name, server = ("api-smoke", {}) if options.smoke else ("api", LARGE)
    with (
        huge_pages(0 if options.smoke else LARGE_MEMORY) as reserved,
        database(name, server, emptied=False) as url,
        tempfile.TemporaryDirectory() as made,
    ):
        say(reserved)
        folder = Path(made)
        started = time.perf_counter()
        if fill(url, size):
            say(f"{size.transfers:,} transfers made in {time.perf_counter() - started:.0f} s")
        if not options.smoke:
            load(
                url,
                *LEDGER,
                ("accounts", "id", "id"),
                ("blocks", "time", "height"),
                ("transactions", "hash", "block_height, index"),
                ("transfers", "amount", "block_height, tx_index, event_index"),
            )
        if not has_wrk():
            with serve(APPLICATION, url, CHOSEN) as port:
                asked = [Wrk(port, route, folder) for route in routes(url, port)]
            say(f"{NO_WRK} So {len(asked)} routes were asked once, and nothing is measured.")
            return
        if options.processes:
            choose(url, folder, seconds)
        ratio = against_bare(url, folder, seconds, rounds)
        names, number = (["304"], 1) if options.smoke else ([], TIMES)
        times = [measure(url, folder, seconds, names) for _ in range(number)]
    measured = {
        route: {name: statistics.median(each[route][name] for each in times) for name in figures}
        for route, figures in times[0].items()
    }
    for name, each in measured.items():
        say(
            f"{name:24} {each['requests_per_s']:7,.0f}/s saturated p99 {each['saturated_p99_ms']:6.1f} ms; "
            f"{each['eased_requests_per_s']:7,.0f}/s p50 {each['p50_ms']:5.1f} p99 {each['p99_ms']:6.1f} ms"
        )
    results = {
        "handmade_ratio": ratio,
        "p99_ms_max": max(each["p99_ms"] for each in measured.values()),
        "size": asdict(size),
        "processes": asdict(CHOSEN),
        "routes": measured,
    }
    say(f"handmade_ratio {ratio:.2f}, p99_ms_max {results['p99_ms_max']:.1f}, with {CHOSEN} processes x threads")
    for each in measured.values():
        check(each, OF_ROUTE)
    keep("api", results, KEYS, small=options.smoke)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
