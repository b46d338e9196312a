"""How far an answer is true: gaps, what is not applied yet, and where the index began."""

import pytest

from balances.indexed_height import IndexedHeight, read_indexed_height
from events.outbox import store
from tests.balances.ledger_factories import put, start_chain
from tests.events.factories import CHAIN, Row

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def indexed_height(indexed: int, includes_up_to: int, contiguous: int) -> IndexedHeight:
    return IndexedHeight(CHAIN, height=indexed, includes_up_to=includes_up_to, contiguous=contiguous, tip=1_000_000)


def mint(height: int) -> list[Row]:
    return [Row(height, 0, 0, "", "g1a", 1)]


def test_without_a_chain_nothing_is_claimed() -> None:
    assert read_indexed_height() == IndexedHeight(None, -1, -1, -1, -1)


def test_a_chain_without_blocks_is_indexed_up_to_nothing() -> None:
    start_chain([])
    assert read_indexed_height() == indexed_height(-1, -1, -1)


def test_without_gaps_and_with_all_applied_the_highest_height_is_indexed() -> None:
    start_chain([(0, 40)])
    assert read_indexed_height() == indexed_height(40, 40, 40)


def test_a_gap_ends_what_is_indexed_and_what_is_above_it_is_said() -> None:
    start_chain([(0, 9), (11, 20), (30, 40)])
    assert read_indexed_height() == indexed_height(9, 40, 9)


def test_a_missing_first_block_means_that_nothing_is_indexed() -> None:
    start_chain([(1, 40)])
    assert read_indexed_height() == indexed_height(-1, 40, -1)


def test_what_is_not_applied_ends_what_is_indexed_just_below_it() -> None:
    start_chain([(0, 40)])
    later, earlier = put(mint(30), mint(12))
    assert read_indexed_height() == indexed_height(11, 40, 40)
    store.mark_applied([earlier.id])
    assert read_indexed_height() == indexed_height(29, 40, 40)
    store.mark_applied([later.id])
    assert read_indexed_height() == indexed_height(40, 40, 40)


def test_a_message_set_aside_ends_what_is_indexed() -> None:
    start_chain([(0, 40)])
    (row,) = put(mint(12))
    store.set_aside("q", row.id, row.body, "why")
    assert read_indexed_height() == indexed_height(11, 40, 40)


def test_what_is_pending_above_a_gap_does_not_raise_what_is_indexed() -> None:
    start_chain([(0, 9), (20, 40)])
    put(mint(30))
    assert read_indexed_height() == indexed_height(9, 40, 9)


def test_genesis_pending_means_that_nothing_is_indexed() -> None:
    start_chain([(0, 40)])
    put(mint(0))
    assert read_indexed_height() == indexed_height(-1, 40, 40)


def test_an_index_that_began_later_counts_from_where_it_began() -> None:
    start_chain([(100, 140)], start_height=100)
    assert read_indexed_height() == indexed_height(140, 140, 140)


def test_an_index_that_began_later_claims_nothing_of_the_heights_before() -> None:
    start_chain([], start_height=100)
    assert read_indexed_height() == indexed_height(-1, -1, -1)


def test_an_index_that_began_later_and_has_its_first_height_pending_claims_nothing() -> None:
    start_chain([(100, 140)], start_height=100)
    put(mint(100))
    assert read_indexed_height() == indexed_height(-1, 140, 140)
