"""Incomplete heights as ranges: pauses that grow, neighbours that join, and costs that depend on ranges alone."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.spans import Span
from blocks.sync import retries
from blocks.sync.retries import Retries

BILLION = 10**9


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spans(of: Retries) -> list[tuple[int, int]]:
    return of.spans()


@pytest.mark.parametrize("span", [Span(7, 7), Span(7, BILLION)])
def test_a_range_is_asked_for_later_and_later_whatever_its_length(clock: Clock, span: Span) -> None:
    of = Retries(clock)
    pauses = []
    for _ in range(40):
        of.fail(span, "no block", absent=True)
        pauses.append(of.next_due() - clock.now)
        assert of.due() == []
        clock.now = of.next_due() + 1
        assert [each.span for each in of.due()] == [span]
    assert pauses[0] == pytest.approx(retries.FIRST_PAUSE)
    assert pauses[-1] == pytest.approx(retries.LONGEST_PAUSE)
    assert [round(pause, 6) for pause in pauses] == sorted(round(pause, 6) for pause in pauses)


def test_heights_that_came_are_taken_out_of_their_range(clock: Clock) -> None:
    of = Retries(clock)
    of.fail(Span(1, BILLION), "no block", absent=True)
    of.succeed([Span(500, 600)])
    assert spans(of) == [(1, 499), (601, BILLION)]
    of.exists([Span(601, 700)])
    assert [each.span for each in of.due()] == [Span(601, 700)]
    assert of.attempts(Span(601, 700)) == 1, "so that the endpoint that has them is asked"
    of.succeed([Span(601, BILLION)])
    assert spans(of) == [(1, 499)]
    assert (of.attempts(Span(0, 0)), of.attempts(Span(0, 1))) == (0, 1)
    of.succeed([Span(0, 499)])
    assert of.next_due() == float("inf")


def test_neighbours_without_a_block_become_one_range(clock: Clock) -> None:
    of = Retries(clock)
    for first in range(0, 5000, 1000):
        of.fail(Span(first, first + 999), "no block", absent=True)
    assert spans(of) == [(0, 4999)]
    of.fail(Span(5000, 5000), "one transaction too few")
    assert spans(of) == [(0, 4999), (5000, 5000)]


def test_the_rest_of_a_search_that_was_cut_short_stays_due(clock: Clock) -> None:
    of = Retries(clock)
    of.fail(Span(1, 1000), "no block", absent=True)
    clock.now = of.next_due() + 1
    of.fail(Span(1, 500), "no block", absent=True)
    assert [each.span for each in of.due()] == [Span(501, 1000)]


def test_a_late_block_does_not_get_the_long_pause_of_its_neighbours(clock: Clock) -> None:
    of = Retries(clock)
    for _ in range(20):
        of.fail(Span(1, 499), "no block", absent=True)
    of.fail(Span(500, 500), "no block", absent=True)
    assert of.next_due() - clock.now == pytest.approx(retries.FIRST_PAUSE)


def test_what_is_not_missing_any_more_is_forgotten(clock: Clock) -> None:
    of = Retries(clock)
    of.fail(Span(100, 9_000_000), "no block", absent=True)
    of.keep_only([Span(0, 150), Span(200, 485)])
    assert spans(of) == [(100, 150), (200, 485)]
    of.keep_only([])
    assert spans(of) == []


def test_every_range_is_due_when_an_endpoint_is_back(clock: Clock) -> None:
    of = Retries(clock)
    for _ in range(20):
        of.fail(Span(1, 9), "no block", absent=True)
    of.ask_now()
    assert [each.span for each in of.due()] == [Span(1, 9)]


def test_a_range_that_stays_incomplete_is_one_line_when_it_begins_and_one_when_it_ends(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    of = Retries(clock)
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            of.fail(Span(1, BILLION), "no block", absent=True)
        of.succeed([Span(1, BILLION)])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert f"from=1 to={BILLION} reason=no block" in caplog.messages[0]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8), st.sampled_from(["fail", "absent", "succeed"]))))
def test_ranges_stay_apart_and_hold_exactly_what_failed_last(steps: list[tuple[int, int, str]]) -> None:
    of, expected = Retries(), set[int]()
    for first, more, step in steps:
        span = Span(first, first + more)
        heights = set(range(span.first, span.last + 1))
        if step == "succeed":
            of.succeed([span])
            expected -= heights
        else:
            of.fail(span, "no block", absent=step == "absent")
            expected |= heights
        held = [height for low, high in of.spans() for height in range(low, high + 1)]
        assert held == sorted(expected)
