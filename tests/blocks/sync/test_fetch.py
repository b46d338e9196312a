"""Fetching a window from an endpoint that answers oddly: what can be read is kept, and nothing else happens."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from blocks.source.client import Blocks, EndpointUnavailable, Heights, Limits, TooMuch, TxIndexer
from blocks.source.endpoint_url import parse_endpoints
from blocks.spans import Page, Span
from blocks.sync.fetch import fetch_window
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.chain_variants import forked
from tests.blocks.factories import chain
from tests.blocks.faulty_proxy import Meddler, Reply


class Endpoint:
    """Has these heights, with a transaction each."""

    url = "http://source"

    def __init__(self, *heights: int) -> None:
        self.rows, self.sent = chain(dict.fromkeys(range(1, 20), 1))
        self.rows = [row for row in self.rows if row.height in heights]

    def blocks(self, span: Span, **edges: Any) -> Blocks:
        return Blocks([row for row in self.rows if span.holds(row.height)], None)

    def transactions(self, request: Span | Page, **options: Any) -> list[Any]:
        span = request if isinstance(request, Span) else Span(request.height, request.height)
        return [row for row in self.sent if span.holds(row.block_height)]

    def heights(self, span: Span, *, descending: bool = False) -> Heights:
        raise EndpointUnavailable(self.url, "HTTP 500")


def test_transactions_that_are_too_much_around_a_height_without_a_block_are_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint = Endpoint(10, 12)

    def too_much(request: Span | Page, **options: Any) -> list[Any]:
        raise TooMuch("no answer within 5 s")

    monkeypatch.setattr(endpoint, "transactions", too_much)
    window = fetch_window(cast(TxIndexer, endpoint), Span(10, 12), 45)
    assert window.checked.blocks == []
    assert window.checked.incomplete.keys() == {10, 11, 12}


def test_a_window_is_kept_when_what_follows_it_cannot_be_asked_for() -> None:
    window = fetch_window(cast(TxIndexer, Endpoint(10, 11)), Span(10, 13), 45, missing_to=1000)
    assert [block.height for block in window.checked.blocks] == [10, 11]
    assert window.absent == Span(12, 13)


@pytest.mark.indexer
def test_transactions_of_another_chain_than_the_blocks_are_not_taken(short: Recording) -> None:
    """The address leads to a fork between the two requests; counts and heights are the same there."""
    with ReplaySource(short) as source:

        def meddle(question: str, ask: Callable[[], Reply]) -> Reply:
            answer = ask()
            source.faults.other_chain = forked(short, 5)
            return answer

        with Meddler(meddle, source.url) as proxy:
            indexer = TxIndexer(parse_endpoints([proxy.url])[0], Limits(5.0, 1 << 24, 1))
            window = fetch_window(indexer, Span(1, 59), 45)
            indexer.close()
    assert "another one than a moment ago" in str(window.failure)
    assert not window.checked.transactions
