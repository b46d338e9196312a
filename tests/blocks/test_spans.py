"""Planning: every missing height exactly once, nothing over budget, and an end to it, whatever comes in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.spans import Page, Span, missing_spans, transaction_requests, windows

HEIGHTS = st.integers(0, 300)


@st.composite
def ranges(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Ascending, disjoint, never touching: as a multirange of the database is."""
    heights = draw(st.sets(HEIGHTS))
    found: list[tuple[int, int]] = []
    for height in sorted(heights):
        if found and height == found[-1][1] + 1:
            found[-1] = found[-1][0], height
        else:
            found.append((height, height))
    return found


def heights_of(spans: list[Span]) -> list[int]:
    return [height for span in spans for height in range(span.first, span.last + 1)]


@given(HEIGHTS, HEIGHTS, ranges())
def test_missing_is_exactly_what_is_not_covered(first: int, last: int, covered: list[tuple[int, int]]) -> None:
    there = {height for start, end in covered for height in range(start, end + 1)}
    spans = missing_spans(first, last, covered)
    assert heights_of(spans) == [height for height in range(first, last + 1) if height not in there]
    assert all(before.last + 1 < after.first for before, after in pairwise(spans))


@given(HEIGHTS, HEIGHTS, ranges(), st.integers(1, 50))
def test_windows_hold_each_missing_height_once_and_none_is_over_budget(
    first: int, last: int, covered: list[tuple[int, int]], most: int
) -> None:
    missing = missing_spans(first, last, covered)
    found = list(windows(missing, most))
    assert heights_of(found) == heights_of(missing)
    assert all(1 <= len(window) <= most for window in found)


def test_windows_of_an_endless_chain_come_one_by_one() -> None:
    first = next(windows([Span(0, 2**62)], 1000))
    assert first == Span(0, 999)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_halves_make_up_the_whole(first: int, more: int) -> None:
    span = Span(first, first + more)
    if len(span) == 1:
        with pytest.raises(ValueError, match="cannot be halved"):
            span.halves()
        return
    low, high = span.halves()
    assert (low.first, low.last + 1, high.last) == (span.first, high.first, span.last)
    assert 0 <= len(low) - len(high) <= 1


counts_of = st.lists(st.integers(0, 40), max_size=40).flatmap(
    lambda counts: st.tuples(
        st.just(counts), st.lists(st.integers(1, 5), min_size=len(counts), max_size=len(counts)), st.integers(0, 1000)
    )
)


@given(counts_of, st.integers(1, 30))
def test_transactions_are_asked_for_once_each_and_within_the_budget(
    drawn: tuple[list[int], list[int], int], most: int
) -> None:
    numbers, gaps, height = drawn
    counts = []
    for number, gap in zip(numbers, gaps, strict=True):
        height += gap
        counts.append((height, number))
    requests = list(transaction_requests(counts, most))
    asked: list[tuple[int, int]] = []
    for request in requests:
        if isinstance(request, Page):
            assert 1 <= len(request) <= most
            asked += [(request.height, index) for index in range(request.first_index, request.last_index + 1)]
        else:
            rows = [
                (height, index)
                for height, number in counts
                if request.first <= height <= request.last
                for index in range(number)
            ]
            assert 1 <= len(rows) <= most, "an empty request, or one over the budget"
            asked += rows
    assert asked == [(height, index) for height, number in counts for index in range(number)]


def test_a_block_of_exactly_the_budget_is_one_request() -> None:
    assert list(transaction_requests([(5, 10)], 10)) == [Span(5, 5)]
    assert list(transaction_requests([(5, 11)], 10)) == [Page(5, 0, 9), Page(5, 10, 10)]


def test_a_large_block_between_small_ones_is_paged_alone() -> None:
    requests = list(transaction_requests([(1, 2), (2, 0), (3, 3), (4, 25), (5, 1), (7, 1)], 10))
    assert requests == [Span(1, 3), Page(4, 0, 9), Page(4, 10, 19), Page(4, 20, 24), Span(5, 7)]


def test_blocks_without_transactions_are_not_asked_for() -> None:
    assert list(transaction_requests([(1, 0), (2, 0)], 10)) == []
    assert list(transaction_requests([], 10)) == []
