"""A bare parallel download: the answers that hold a chain, asked for by as many connections, and thrown away."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import urllib3

from blocks.source import queries


def download(url: str, requests: list[str], connections: int) -> float:
    """Seconds to get the answers to `requests`, in order, over so many connections at once."""
    pool = urllib3.PoolManager(maxsize=connections, block=True, retries=False)

    def ask(question: str) -> int:
        answer = pool.request(
            "POST", url, body=json.dumps({"query": question}), headers={"Content-Type": "application/json"}
        )
        return len(answer.data)

    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as threads:
        for size in threads.map(ask, requests):
            assert size
    return time.perf_counter() - started


def questions(url: str, window_blocks: int, window_transactions: int) -> list[str]:
    """Every question of a full backfill, known beforehand: nobody who has to find them out can be faster."""
    from blocks.source.client import Limits, TxIndexer
    from blocks.source.endpoint_url import parse_endpoints
    from blocks.spans import Span, transaction_requests, windows

    source = TxIndexer(parse_endpoints([url])[0], Limits(60.0, 1 << 30, 1))
    asked = []
    for span in windows([Span(0, source.tip())], window_blocks):
        asked.append(queries.blocks(span.first, span.last))
        counts = [(block.height, block.num_txs) for block in source.blocks(span).rows]
        for request in transaction_requests(counts, window_transactions):
            if isinstance(request, Span):
                asked.append(queries.transactions(request.first, request.last))
            else:
                asked.append(queries.transactions_page(request.height, request.first_index, request.last_index))
    source.close()
    return asked
