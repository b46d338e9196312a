"""Reading one window from one endpoint: blocks first, then the transactions they count, in requests of bounded size."""

from collections.abc import Callable, Sequence
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


def fetch_window(endpoint: TxIndexer, span: Span, max_rows: int, witness: TxIndexer | None = None) -> Window:
    """Fetch and check `span`, asking for at most `max_rows` transactions at a time.

    Where `witness`, another endpoint, knows other blocks, those heights are incomplete and the reason has both answers.
    Raises `EndpointUnavailable`; a witness that does not answer says nothing.
    """
    blocks = _fetch(endpoint, span, endpoint.blocks)
    disputed = _disputed(endpoint, witness, span, blocks) if witness else {}
    counts = [(block.height, block.num_txs) for block in blocks if span.first <= block.height <= span.last]
    transactions: list[TransactionAnswer] = []
    for request in transaction_requests(sorted(counts), max_rows):
        transactions += _fetch(endpoint, request, endpoint.transactions)
    return Window(span, endpoint.url, check_window(span, blocks, transactions, disputed))


def _disputed(endpoint: TxIndexer, witness: TxIndexer, span: Span, blocks: Sequence[BlockAnswer]) -> dict[int, str]:
    """Heights at which `witness` has another block. Blocks are linked, so where the last one agrees, all do."""
    mine = {block.height: block for block in blocks}
    try:
        theirs = witness.blocks(Span(span.last, span.last))
        if span.last not in mine or not theirs or theirs[0].content() == mine[span.last].content():
            return {}
        theirs = _fetch(witness, span, witness.blocks)
    except (EndpointUnavailable, TooMuch):
        return {}
    return {
        other.height: f"two endpoints disagree: {_says(endpoint, mine[other.height])}; {_says(witness, other)}"
        for other in theirs
        if other.height in mine and other.content() != mine[other.height].content()
    }


def _says(endpoint: TxIndexer, block: BlockAnswer) -> str:
    return f"{endpoint.url} says hash {block.hash!r}, num_txs {block.num_txs}, total_txs {block.total_txs}"


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
