"""Reading one window from one endpoint: blocks first, then the transactions they count, in requests of bounded size.

What is too much is asked for in halves, and a single block in pages; what cannot be read is asked for in halves too,
until the height to blame stands alone and the others are read without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from blocks.source.client import EndpointUnavailable, TooMuch, TxIndexer, Unreadable
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Page, Span, missing_spans, spans_of, transaction_requests
from blocks.sync.window_checks import Checked, check_window

# More unreadable heights than this in one window are no accident of a row: the endpoint is to blame.
MAX_UNREADABLE = 20


@dataclass(frozen=True)
class Window:
    """A window as fetched and checked; `source` is the endpoint's address, `first` block 1 of the chain it serves.

    `blocks`: as they came. `edges`: its blocks at the heights that were to be compared with what is stored. `failure`:
    why it ends early; its `span` is then what was read before. `absent`: the missing heights at its end, and those that
    follow them.
    """

    span: Span
    source: str
    first: BlockAnswer | None
    checked: Checked
    edges: tuple[BlockAnswer, ...] = ()
    failure: EndpointUnavailable | None = None
    absent: Span | None = None
    blocks: tuple[BlockAnswer, ...] = ()


@dataclass(frozen=True)
class Edges:
    """Stored heights around a window, None where there are none: the endpoint proves by them whose chain it serves."""

    below: int | None = None
    above: int | None = None


def fetch_window(
    endpoint: TxIndexer,
    span: Span,
    max_rows: int,
    witness: TxIndexer | None = None,
    *,
    edges: Edges = Edges(),  # immutable
    missing_to: int | None = None,
) -> Window:
    """Fetch and check `span`, asking for at most `max_rows` transactions at a time.

    Where `witness`, another endpoint, knows other blocks, those heights are incomplete and the reason has both answers.
    `missing_to`: the last of the missing heights that begin in this window; where the endpoint lacks the window's last
    height, it is asked where its next one is, up to there. What was read before a failure is kept. Raises
    `EndpointUnavailable` when nothing was; a witness that does not answer is ignored.
    """
    return _Reader(endpoint, max_rows, edges).read(span, witness, missing_to)


@dataclass(frozen=True)
class Search:
    """Heights of a span that an endpoint has, and those that it lacks, as far as it said: `span` may end early."""

    span: Span
    source: str
    existing: list[Span]
    absent: list[Span]


def search(endpoint: TxIndexer, span: Span) -> Search:
    """Ask an endpoint which heights of `span` it has, however long that is. Raises `EndpointUnavailable`."""
    while True:
        try:
            answer = endpoint.heights(span)
            break
        except TooMuch as much:
            if span.first == span.last:
                raise EndpointUnavailable(endpoint.url, str(much)) from None
            span = span.halves()[0]
    rows = [height for height in answer.rows if span.first <= height <= span.last]
    if not answer.complete:
        span = Span(span.first, max(rows, default=span.first))
    existing = spans_of(rows)
    absent = missing_spans(span.first, span.last, [(part.first, part.last) for part in existing])
    return Search(span, endpoint.url, existing, absent)


@dataclass
class _Reader:
    endpoint: TxIndexer
    max_rows: int
    asked_edges: Edges
    first: BlockAnswer | None = None
    edges: dict[int, BlockAnswer] = field(default_factory=dict)
    troubled: dict[int, str] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    found: dict[int, BlockAnswer] = field(default_factory=dict)

    def read(self, span: Span, witness: TxIndexer | None, missing_to: int | None) -> Window:
        blocks = self._blocks(span)
        self.found = {block.height: block for block in blocks if span.holds(block.height)}
        self.counts = {block.height: block.num_txs for block in blocks if span.first <= block.height <= span.last}
        disputed = self._disputed(witness, span, blocks) if witness else {}
        transactions: list[TransactionAnswer] = []
        failure = None
        short = -1
        for request in transaction_requests(sorted(self.counts.items()), self.max_rows):
            # A block that counts more than there is: one short page is the last.
            if isinstance(request, Page) and request.height == short:
                continue
            try:
                rows = self._transactions(request)
            except EndpointUnavailable as unavailable:
                first = request.height if isinstance(request, Page) else request.first
                if first <= span.first:
                    raise
                failure, span = unavailable, Span(span.first, first - 1)
                break
            if isinstance(request, Page):
                short = request.height if len(rows) < len(request) else -1
            transactions += rows
        checked = check_window(
            span,
            [block for block in blocks if block.height <= span.last],
            [row for row in transactions if row.block_height <= span.last],
            disputed=disputed,
            unreadable=self.troubled,
            neighbours=list(self.edges.values()),
        )
        return Window(
            span,
            self.endpoint.url,
            self.first,
            checked,
            tuple(self.edges.values()),
            failure,
            None if failure else self._absent(span, missing_to),
            tuple(blocks),
        )

    def _absent(self, span: Span, missing_to: int | None) -> Span | None:
        """The heights without a block at the end of `span`, and up to `missing_to` if it goes on."""
        last_known = max((*self.counts, *self.troubled), default=span.first - 1)
        if missing_to is None or last_known >= span.last:
            return None
        first = max(last_known + 1, span.first)
        if missing_to <= span.last:
            return Span(first, span.last)
        try:
            beyond = search(self.endpoint, Span(span.last + 1, missing_to))
        except EndpointUnavailable:
            return Span(first, span.last)  # the window itself is read
        if beyond.absent and beyond.absent[0].first == span.last + 1:
            return Span(first, beyond.absent[0].last)
        return Span(first, span.last)

    def _blocks(self, span: Span) -> list[BlockAnswer]:
        try:
            answer = self.endpoint.blocks(span, below=self.asked_edges.below, above=self.asked_edges.above)
        except (TooMuch, Unreadable) as trouble:
            if span.first == span.last:
                self._give_up(span.first, trouble)
                return []
            return [block for half in span.halves() for block in self._blocks(half)]
        self.first = answer.first or self.first
        for edge in (answer.below, answer.above):
            if edge is not None:
                self.edges[edge.height] = edge
        return answer.rows

    def _transactions(self, request: Span | Page) -> list[TransactionAnswer]:
        try:
            return self.endpoint.transactions(request, like=self._like(request))
        except (TooMuch, Unreadable) as trouble:
            parts = self._smaller(request)
            if not parts:
                return self._alone(request, trouble)
        return [row for part in parts for row in self._transactions(part)]

    def _alone(self, request: Span | Page, trouble: Exception) -> list[TransactionAnswer]:
        """A transaction that stands alone: over the byte budget it is read all the same."""
        if isinstance(trouble, TooMuch):
            try:
                return self.endpoint.transactions(request, like=self._like(request), any_size=True)
            except (TooMuch, Unreadable) as still:
                trouble = still
        self._give_up(request.height if isinstance(request, Page) else request.first, trouble)
        return []

    def _like(self, request: Span | Page) -> BlockAnswer | None:
        last = request.height if isinstance(request, Page) else request.last
        return max((b for b in self.found.values() if b.height <= last), key=lambda b: b.height, default=None)

    def _smaller(self, request: Span | Page) -> list[Span] | list[Page]:
        if isinstance(request, Span):
            if request.first < request.last:
                return list(request.halves())
            # A height without a block may lie between others.
            request = Page(request.first, 0, self.counts.get(request.first, 0) - 1)
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
