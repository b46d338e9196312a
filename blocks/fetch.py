"""Reading one window from one endpoint: blocks first, then the transactions they count, in requests of bounded size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.plan import Page, Span, transaction_requests
from blocks.tx_indexer import EndpointUnavailable, TooMuch, TxIndexer
from blocks.verify import Checked, check_window

Request = TypeVar("Request", Span, Page, Span | Page)
Row = TypeVar("Row", BlockAnswer, TransactionAnswer)


@dataclass(frozen=True)
class Window:
    """A window as fetched and checked; `source` is the endpoint's address."""

    span: Span
    source: str
    checked: Checked


def fetch_window(endpoint: TxIndexer, span: Span, max_rows: int) -> Window:
    """Fetch and check `span`, asking for at most `max_rows` transactions at a time. Raises `EndpointUnavailable`."""
    blocks = _fetch(endpoint, span, endpoint.blocks)
    counts = [(block.height, block.num_txs) for block in blocks if span.first <= block.height <= span.last]
    transactions: list[TransactionAnswer] = []
    for request in transaction_requests(sorted(counts), max_rows):
        transactions += _fetch(endpoint, request, endpoint.transactions)
    return Window(span, endpoint.url, check_window(span, blocks, transactions))


def _fetch(endpoint: TxIndexer, request: Request, ask: Callable[[Request], list[Row]]) -> list[Row]:
    """All rows of `request`, halving it as often as the server says that it is too much."""
    try:
        return ask(request)
    except TooMuch as much:
        parts = _smaller(request)
        if not parts:
            raise EndpointUnavailable(endpoint.url, f"{request}: {much}") from None
    return [row for part in parts for row in _fetch(endpoint, part, ask)]


def _smaller(request: Request) -> list[Request]:
    if isinstance(request, Page):
        if len(request) == 1:
            return []
        middle = (request.first_index + request.last_index) // 2
        return [
            Page(request.height, request.first_index, middle),
            Page(request.height, middle + 1, request.last_index),
        ]
    return [] if request.first == request.last else list(request.halves())
