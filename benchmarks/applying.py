"""One process of the apply benchmark, told to begin by a line on its input: a processor, a relay, or the floor.

Prints "ready", then, when it is done, one line of JSON with what it measured.
"""

import argparse
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import botocore.httpsession
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
django.setup()

from django.db import connection  # noqa: E402  # Django must be set up first

from balances.indexed_height import read_indexed_height  # noqa: E402
from balances.processor import Processor  # noqa: E402
from benchmarks import floor  # noqa: E402
from events.outbox import store  # noqa: E402
from indexer_project import wiring  # noqa: E402


class Statements:
    """Counts the statements that a connection executes."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, execute, sql, params, many, context):  # type: ignore[no-untyped-def]  # Django's wrapper protocol
        self.number += 1
        return execute(sql, params, many, context)


class Measured(Processor):
    """A processor that notes how much it did, and when it had done the last of it."""

    batches = 0
    statements = 0
    applied_at = 0.0

    def process_batch(self, wait_seconds: float) -> int:
        counted = Statements()
        with connection.execute_wrapper(counted):
            found = super().process_batch(wait_seconds)
        if found:
            self.batches += 1
            self.statements += counted.number
            self.applied_at = time.perf_counter()
        return found


def process() -> dict[str, float]:
    processor = Measured(wiring.queue(), lambda: read_indexed_height().chain_id, threading.Event())
    started = time.perf_counter()
    with counted_requests() as requests:
        while processor.process_batch(1.0) or store.depth().pending:
            pass
    return {
        "seconds": processor.applied_at - started,
        "transfers": processor.transfers,
        "batches": processor.batches,
        "statements": processor.statements,
        "requests": len(requests),
    }


def relay() -> dict[str, float]:
    relay = wiring.relay(threading.Event())
    relay.finish()
    with counted_requests() as requests:
        relay.run()
    return {"requests": len(requests)}


@contextmanager
def counted_requests() -> Iterator[list[str]]:
    """Every request that boto3 sends meanwhile."""
    sent: list[str] = []
    original = botocore.httpsession.URLLib3Session.send

    def send(session, request):  # type: ignore[no-untyped-def]  # botocore has no types
        sent.append(request.url)
        return original(session, request)

    botocore.httpsession.URLLib3Session.send = send  # type: ignore[method-assign]  # counted here, whoever sends
    try:
        yield sent
    finally:
        botocore.httpsession.URLLib3Session.send = original  # type: ignore[method-assign]  # as it was


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("processor", "relay", "floor"))
    part = parser.parse_args().part
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    started = time.perf_counter()
    said = process() if part == "processor" else relay() if part == "relay" else floor.run()
    said["seconds"] = said.get("seconds", time.perf_counter() - started)
    said["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
