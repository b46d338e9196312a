"""Reading one window from one endpoint: blocks first, then the transactions they count, in requests of bounded size.

What is too much is asked for in halves, and a single block in pages; what cannot be read is asked for in halves too,
until the height to blame stands alone and the others are read without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from blocks.answers import BlockAnswer, TransactionAnswer
from blocks.plan import Page, Span, transaction_requests
from blocks.tx_indexer import EndpointUnavailable, TooMuch, TxIndexer, Unreadable
from blocks.verify import Checked, check_window

# More unreadable heights than this in one window are no accident of a row: the endpoint is to blame.
MAX_UNREADABLE = 20


@dataclass(frozen=True)
class Window:
    """A window as fetched and checked; `source` is the endpoint's address, `first` block 1 of the chain it serves."""

    span: Span
    source: str
    first: BlockAnswer | None
    checked: Checked


def fetch_window(endpoint: TxIndexer, span: Span, max_rows: int, witness: TxIndexer | None = None) -> Window:
    """Fetch and check `span`, asking for at most `max_rows` transactions at a time.

    Where `witness`, another endpoint, knows other blocks, those heights are incomplete and the reason has both answers.
    Raises `EndpointUnavailable`; a witness that does not answer says nothing.
    """
    return _Reader(endpoint, max_rows).read(span, witness)


@dataclass
class _Reader:
    endpoint: TxIndexer
    max_rows: int
    first: BlockAnswer | None = None
    troubled: dict[int, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)

    def read(self, span: Span, witness: TxIndexer | None) -> Window:
        blocks = self._blocks(span)
        self.counts = {block.height: block.num_txs for block in blocks if span.first <= block.height <= span.last}
        if witness:
            self.troubled |= self._disputed(witness, span, blocks)
        transactions: list[TransactionAnswer] = []
        short = -1
        for request in transaction_requests(sorted(self.counts.items()), self.max_rows):
            if isinstance(request, Page):
                # A block that counts more than there is: one short page is the last.
                if request.height == short:
                    continue
                rows = self._transactions(request)
                short = request.height if len(rows) < len(request) else -1
            else:
                rows = self._transactions(request)
            transactions += rows
        return Window(span, self.endpoint.url, self.first, check_window(span, blocks, transactions, self.troubled))

    def _blocks(self, span: Span) -> list[BlockAnswer]:
        try:
            said = self.endpoint.blocks(span)
        except (TooMuch, Unreadable) as trouble:
            if span.first == span.last:
                self._give_up(span.first, trouble)
                return []
            return [block for half in span.halves() for block in self._blocks(half)]
        self.first = said.first or self.first
        return said.rows

    def _transactions(self, request: Span | Page) -> list[TransactionAnswer]:
        try:
            return self.endpoint.transactions(request)
        except (TooMuch, Unreadable) as trouble:
            parts = self._smaller(request)
            if not parts:
                return self._alone(request, trouble)
        return [row for part in parts for row in self._transactions(part)]

    def _alone(self, request: Span | Page, trouble: Exception) -> list[TransactionAnswer]:
        """A transaction that stands alone: over the byte budget it is read all the same."""
        if isinstance(trouble, TooMuch):
            try:
                return self.endpoint.transactions(request, any_size=True)
            except (TooMuch, Unreadable) as still:
                trouble = still
        self._give_up(request.height if isinstance(request, Page) else request.first, trouble)
        return []

    def _smaller(self, request: Span | Page) -> list[Span] | list[Page]:
        if isinstance(request, Span):
            if request.first < request.last:
                return list(request.halves())
            request = Page(request.first, 0, self.counts[request.first] - 1)
        if len(request) < 2:
            return []
        middle = (request.first_index + request.last_index) // 2
        return [
            Page(request.height, request.first_index, middle),
            Page(request.height, middle + 1, request.last_index),
        ]

    def _give_up(self, height: int, trouble: Exception) -> None:
        self.troubled[height] = f"it cannot be read: {trouble}"
        if len(self.troubled) > MAX_UNREADABLE:
            raise EndpointUnavailable(self.endpoint.url, f"nothing it answers can be read: {trouble}")

    def _disputed(self, witness: TxIndexer, span: Span, blocks: Sequence[BlockAnswer]) -> dict[int, str]:
        """Heights at which `witness` has another block. Blocks are linked, so where the last one agrees, all do."""
        mine = {block.height: block for block in blocks}
        try:
            last = witness.blocks(Span(span.last, span.last)).rows
            if span.last not in mine or not last or last[0].content() == mine[span.last].content():
                return {}
            theirs = witness.blocks(span).rows
        except (EndpointUnavailable, TooMuch, Unreadable):
            return {}
        return {
            other.height: f"two endpoints disagree: {_says(self.endpoint, mine[other.height])}; {_says(witness, other)}"
            for other in theirs
            if other.height in mine and other.content() != mine[other.height].content()
        }


def _says(endpoint: TxIndexer, block: BlockAnswer) -> str:
    return f"{endpoint.url} says hash {block.hash!r}, num_txs {block.num_txs}, total_txs {block.total_txs}"
