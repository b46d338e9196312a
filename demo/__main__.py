"""`python -m demo`: watch the system follow a recorded chain. `python -m demo --check`: prove the balances and stop."""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from demo.alone import InUse, alone
from demo.api import Api
from demo.compare import Oracle, TokenResult, compare
from demo.processes import INTERRUPTS, ROOT, ChildEnded
from demo.system import PROCESSORS, Plan, System, running
from dev.localstack import LocalStackFailed, free_port
from indexer_project.embedded_postgres import EmbeddedPostgresMissing

CHECK_SECONDS = 600


def main() -> int:
    arguments = parse()
    for number in INTERRUPTS:
        signal.signal(number, interrupt)
    try:
        recording = Path(arguments.recording).resolve()
        tip = last_height(recording)
        return check(arguments, recording, tip) if arguments.check else demo(arguments, recording, tip)
    except KeyboardInterrupt:
        say("Stopped; nothing is left running.")
        return 0
    except (ChildEnded, InUse, EmbeddedPostgresMissing, LocalStackFailed, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="full speed, compare with balances.json, exit 0 or 1")
    parser.add_argument("--recording", default=str(ROOT / "recordings" / "gnotest-1"), help="a folder of recordings")
    parser.add_argument("--queue", choices=("postgres", "sqs"), default="postgres", help="sqs: through LocalStack")
    parser.add_argument("--port", type=int, default=8000, help="of the API (8000; --check takes a free one)")
    parser.add_argument("--kill", action="store_true", help="with --check: kill -9 a synchronizer and a processor once")
    return parser.parse_args()


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def last_height(recording: Path) -> int:
    """The tip of a recording. Raises OSError or ValueError when it is not one."""
    lines = (recording / "blocks.jsonl").read_text().splitlines()
    if not lines:
        raise ValueError(f"{recording}/blocks.jsonl is empty")
    return int(json.loads(lines[-1])["height"])


def demo(arguments: argparse.Namespace, recording: Path, tip: int) -> int:
    plan = Plan(recording, ROOT / ".data" / "demo", arguments.queue, arguments.port, "80%", 1.0)
    with alone(plan.data, plan.port):
        say(f"Starting everything on {recording.name}: its first 80 % at once, then a block a second …")
        with running(plan) as system:
            follow(plan, system, tip)
    return 0


def follow(plan: Plan, system: System, tip: int) -> None:
    """Say where everything is, and how far it gets, until it is interrupted."""
    say(f"  balances   {system.api}/tokens/balances")
    say(f"  API        {system.api}/docs")
    say(f"  stream     {system.api}/events/stream   (curl -NL)")
    say(f"  admin      {system.api}/admin/   login: admin   password: {system.password}")
    say(f"  source     {system.source}")
    say(f"  logs       {plan.data / 'logs'}")
    say("Ctrl-C stops it all.")
    api, shown = Api(system.api), None
    while True:
        system.processes.check()
        indexed = api.indexed_height()
        if indexed != shown and indexed >= 0:
            say(f"  indexed up to height {indexed} of {tip}")
            shown = indexed
        time.sleep(1)


def check(arguments: argparse.Namespace, recording: Path, tip: int) -> int:
    oracle = Oracle.read(recording)
    start, rate = ("30%", 100.0) if arguments.kill else ("100%", 0.0)
    data = ROOT / ".data" / f"demo-check-{os.getpid()}"
    plan = Plan(recording, data, arguments.queue, free_port(), start, rate)
    with running(plan) as system:
        api = Api(system.api)
        if arguments.kill:
            wait_for(api, system, tip // 2)
            for name in ("runsync", PROCESSORS[0]):
                system.processes.kill(name)
            say(f"demo-check: killed runsync and {PROCESSORS[0]} at height {api.indexed_height()}, started them again")
        wait_for(api, system, tip)
        status = report(compare(api, oracle), oracle)
    if status == 0:
        shutil.rmtree(data)  # what went wrong is kept to look at, what went right is not
    return status


def wait_for(api: Api, system: System, height: int) -> None:
    """Wait until everything up to `height` is in. Raises `ChildEnded` when a process ends, or the time is up."""
    deadline = time.monotonic() + CHECK_SECONDS
    while (indexed := api.indexed_height()) < height:
        system.processes.check()
        if time.monotonic() > deadline:
            raise ChildEnded(f"indexed up to {indexed} after {CHECK_SECONDS} s, and {height} was expected")
        time.sleep(0.1)


def report(results: list[TokenResult], oracle: Oracle) -> int:
    width = max((len(result.token) for result in results), default=5)
    say(f"{'token':{width}}  {'pairs':>6}  {'known':>5}  {'wrong':>5}")
    for result in results:
        say(f"{result.token:{width}}  {result.pairs:6}  {result.known:5}  {len(result.wrong):5}")
        for (token, address), value in oracle.known.items():
            if token == result.token:
                say(f"    known difference: {address or 'supply'} is {value} by events, as listed")
        for wrong in result.wrong:
            say(f"    WRONG {wrong}")
    pairs, known = sum(result.pairs for result in results), sum(result.known for result in results)
    wrong_pairs = sum(len(result.wrong) for result in results)
    say(f"demo-check: {len(results)} tokens, {pairs} pairs, {known} known differences, {wrong_pairs} wrong")
    return 1 if wrong_pairs else 0


if __name__ == "__main__":
    sys.exit(main())
