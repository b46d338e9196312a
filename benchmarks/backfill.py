"""One backfill in a process of its own: what `runsync --until-tip` does, timed from its first step to its last.

Prints one line of JSON: seconds, rss_mb (the most it had resident). With --floor, the least that any program must do
instead: download the same answers, decode the same JSON, COPY the same rows, and nothing else.
"""

import argparse
import json
import os
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
django.setup()

from django.db import transaction  # noqa: E402  # Django must be set up first

from blocks import store  # noqa: E402
from blocks.source.client import Limits, TxIndexer  # noqa: E402
from blocks.spans import Span, transaction_requests, windows  # noqa: E402
from blocks.sync.synchronizer import Synchronizer  # noqa: E402
from indexer_project import wiring  # noqa: E402


def synchronize() -> None:
    Synchronizer(wiring.sync_settings(), wiring.record_events, threading.Event()).run(until_tip=True)


def floor() -> None:
    """Download everything in the same windows, decode it, and COPY it: no checks, no events, no coverage."""
    settings = wiring.sync_settings()
    source = TxIndexer(settings.urls[0], Limits(settings.timeout, settings.max_answer_bytes, settings.connections))
    spans = list(windows([Span(0, source.tip())], settings.window_blocks))

    def download(span: Span):  # type: ignore[no-untyped-def]  # rows of two kinds
        blocks = source.blocks(span).rows
        counts = [(block.height, block.num_txs) for block in blocks]
        requests = transaction_requests(counts, settings.window_transactions)
        return blocks, [row for request in requests for row in source.transactions(request)]

    with ThreadPoolExecutor(settings.connections) as pool:
        for blocks, transactions in pool.map(download, spans):
            with transaction.atomic():
                store.insert_window(blocks, transactions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--floor", action="store_true")
    options = parser.parse_args()
    started = time.perf_counter()
    if options.floor:
        floor()
    else:
        synchronize()
    seconds = time.perf_counter() - started
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "rss_mb": rss}) + "\n")


if __name__ == "__main__":
    main()
