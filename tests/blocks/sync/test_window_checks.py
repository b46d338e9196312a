"""A window is whole, or it is known which of its heights are not and why."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.links import StoredBlock, cannot_follow
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span
from blocks.sync.window_checks import WrongChain, check_chain, check_window
from tests.blocks.factories import block, chain, transaction

WINDOW = Span(3, 7)
COUNTS = {0: 4, 1: 0, 2: 3, 3: 2, 4: 0, 5: 1, 6: 5, 7: 0, 8: 2}


def window() -> tuple[list[BlockAnswer], list[TransactionAnswer]]:
    blocks, transactions = chain(COUNTS)
    return [b for b in blocks if 3 <= b.height <= 7], [t for t in transactions if 3 <= t.block_height <= 7]


def test_a_whole_window_is_complete_and_in_order() -> None:
    blocks, transactions = window()
    checked = check_window(WINDOW, blocks[::-1], transactions[::-1])
    assert checked.blocks == blocks
    assert checked.transactions == transactions
    assert not checked.incomplete


def change(**fields: Any) -> Any:
    return fields


@pytest.mark.parametrize(
    ("height", "fields", "incomplete", "why"),
    [
        (5, {"num_txs": 2, "total_txs": 9}, {5, 6}, "says 2 transactions, the answer has 1"),
        (5, {"num_txs": 0}, {5}, "says 0 transactions, the answer has 1"),
        (4, {"num_txs": 1}, {4}, "says 1 transactions, the answer has 0"),
        (5, {"time": "soon"}, {5}, "time"),
        (5, {"time": ""}, {5}, "time"),
        (5, {"time": "2026-13-01T00:00:00Z"}, {5}, "time"),
        (5, {"time": "12026-01-01T00:00:00Z"}, {5}, "time"),
        (5, {"time": "\ud800"}, {5}, "time"),
    ],
)
def test_a_block_that_is_wrong_keeps_itself_and_no_more_than_its_neighbour_out(
    height: int, fields: dict[str, Any], incomplete: set[int], why: str
) -> None:
    blocks, transactions = window()
    blocks = [block(b, **fields) if b.height == height else b for b in blocks]
    checked = check_window(WINDOW, blocks, transactions)
    assert set(checked.incomplete) == incomplete
    assert why in checked.incomplete[min(incomplete)]
    assert [b.height for b in checked.blocks] == [h for h in range(3, 8) if h not in incomplete]
    assert not {t.block_height for t in checked.transactions} & incomplete


@pytest.mark.parametrize(
    ("height", "fields", "breaks_at", "why"),
    [
        (5, {"hash": "other"}, 6, "follows"),
        (5, {"last_block_hash": "other"}, 5, "follows"),
        (5, {"total_txs": 99}, 5, "total_txs"),
        (3, {"total_txs": 99}, 4, "total_txs"),
        (3, {"last_block_hash": "other"}, None, ""),
    ],
)
def test_whole_neighbours_that_do_not_link_end_the_window_below_the_upper_one(
    height: int, fields: dict[str, Any], breaks_at: int | None, why: str
) -> None:
    blocks, transactions = window()
    blocks = [block(b, **fields) if b.height == height else b for b in blocks]
    checked = check_window(WINDOW, blocks, transactions)
    assert not checked.incomplete
    assert [b.height for b in checked.blocks] == [h for h in range(3, 8) if breaks_at is None or h < breaks_at]
    assert max(t.block_height for t in checked.transactions) < (breaks_at or 8)
    if breaks_at is None:
        assert checked.chain_break is None
    else:
        assert checked.chain_break is not None
        assert checked.chain_break.height == breaks_at
        assert why in checked.chain_break.reason


def test_a_neighbour_of_the_window_that_does_not_link_is_a_break_at_its_edge() -> None:
    blocks, transactions = window()
    every, _ = chain(COUNTS)
    below, above = every[2], every[8]
    assert check_window(WINDOW, blocks, transactions, neighbours=[below, above]).chain_break is None
    low = check_window(WINDOW, blocks, transactions, neighbours=[block(below, hash="other"), above])
    assert (low.blocks, low.chain_break and low.chain_break.height) == ([], 3)
    high = check_window(WINDOW, blocks, transactions, neighbours=[below, block(above, last_block_hash="other")])
    assert (high.blocks, high.chain_break and high.chain_break.height) == (blocks[:-1], 8)
    assert high.incomplete.keys() == {7}, "block 8 is stored, so that block 7 may not stand beside it"


def test_a_dispute_does_not_hide_a_break() -> None:
    blocks, transactions = window()
    blocks = [block(b, last_block_hash="other") if b.height == 5 else b for b in blocks]
    disputed = dict.fromkeys(range(5, 8), "two endpoints disagree")
    checked = check_window(WINDOW, blocks, transactions, disputed=disputed)
    assert checked.chain_break is not None
    assert checked.chain_break.height == 5


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, None),
        ({"total_txs": 2, "num_txs": 1}, "total_txs"),
        ({"total_txs": 3, "num_txs": 1}, "total_txs"),
        ({"time": datetime(2020, 1, 1, tzinfo=UTC)}, "before block 10"),
        ({"last_block_hash": ""}, "no predecessor"),
        ({"height": 11, "last_block_hash": "other"}, "follows"),
    ],
)
def test_what_cannot_be_above_a_stored_block_is_told(fields: dict[str, Any], why: str | None) -> None:
    lower = StoredBlock(10, "ten", "nine", 2, 3, datetime(2026, 1, 1, tzinfo=UTC))
    upper = StoredBlock(20, "twenty", "nineteen", 1, 4, datetime(2026, 1, 1, tzinfo=UTC))
    reason = cannot_follow(lower, replace(upper, **fields))
    assert (reason is None) if why is None else (why in str(reason))


def test_anything_may_be_above_genesis_whose_time_may_be_any() -> None:
    genesis = StoredBlock(0, "", "", 60, 60, datetime(9999, 1, 1, tzinfo=UTC))
    assert cannot_follow(genesis, StoredBlock(20, "h", "", 1, 1, datetime(2026, 1, 1, tzinfo=UTC))) is None


def test_a_block_that_is_not_there_is_incomplete() -> None:
    blocks, transactions = window()
    checked = check_window(WINDOW, [b for b in blocks if b.height != 6], transactions)
    assert checked.incomplete == {6: "no block"}
    assert not [t for t in checked.transactions if t.block_height == 6]


def test_two_different_blocks_of_one_height_are_neither() -> None:
    blocks, transactions = window()
    for order in ([*blocks, block(blocks[2], hash="other")], [block(blocks[2], hash="other"), *blocks]):
        checked = check_window(WINDOW, order, transactions)
        assert 5 in checked.incomplete
        assert 5 not in [b.height for b in checked.blocks]


def test_the_same_block_twice_is_the_block() -> None:
    blocks, transactions = window()
    checked = check_window(WINDOW, blocks + blocks, transactions)
    assert checked.blocks == blocks
    assert not checked.incomplete


@pytest.mark.parametrize(
    ("indexes", "complete"),
    [
        ([0, 1, 2, 3, 4], True),
        ([4, 2, 0, 1, 3], True),
        ([0, 1, 2, 3], False),
        ([0, 1, 2, 3, 4, 5], False),
        ([0, 1, 2, 3, 3], False),
        ([0, 1, 2, 3, 5], False),
        ([1, 2, 3, 4, 5], False),
        ([0, 0, 0, 0, 0], False),
        ([], False),
    ],
)
def test_transactions_are_complete_when_their_indexes_are_0_to_num_txs(indexes: list[int], complete: bool) -> None:
    blocks, transactions = window()
    others = [t for t in transactions if t.block_height != 6]
    checked = check_window(WINDOW, blocks, others + [transaction(6, index) for index in indexes])
    assert (6 not in checked.incomplete) is complete
    if complete:
        assert [t.index for t in checked.transactions if t.block_height == 6] == [0, 1, 2, 3, 4]


def test_rows_of_other_heights_are_left_out() -> None:
    blocks, transactions = chain(COUNTS)
    checked = check_window(WINDOW, blocks, transactions)
    assert [b.height for b in checked.blocks] == [3, 4, 5, 6, 7]
    assert {t.block_height for t in checked.transactions} == {3, 5, 6}


def test_transactions_without_their_block_do_not_make_it_complete() -> None:
    _, transactions = window()
    checked = check_window(WINDOW, [], transactions)
    assert set(checked.incomplete) == {3, 4, 5, 6, 7}
    assert not checked.blocks
    assert not checked.transactions


def test_genesis_has_no_hash_and_is_not_in_the_running_total() -> None:
    blocks, transactions = chain({0: 61, 1: 2, 2: 3})
    assert [b.total_txs for b in blocks] == [61, 2, 5]
    assert (blocks[0].hash, blocks[1].last_block_hash) == ("", "")
    assert not check_window(Span(0, 2), blocks, transactions).incomplete
    wrong = [blocks[0], block(blocks[1], total_txs=63), block(blocks[2], total_txs=66)]
    checked = check_window(Span(0, 2), wrong, transactions)
    assert checked.chain_break is not None
    assert checked.chain_break.height == 1


@given(st.dictionaries(st.integers(0, 30), st.integers(0, 4), max_size=12), st.data())
def test_whatever_is_left_out_of_an_answer_each_height_is_complete_or_told(
    counts: dict[int, int], data: st.DataObject
) -> None:
    blocks, transactions = chain({height: counts.get(height, 0) for height in range(31)})
    kept = data.draw(st.sets(st.sampled_from(range(31))))
    lost = data.draw(st.sets(st.integers(0, max(len(transactions) - 1, 0)), max_size=3))
    rows = [t for place, t in enumerate(transactions) if place not in lost]
    checked = check_window(Span(0, 30), [b for b in blocks if b.height in kept], rows)
    complete = {b.height for b in checked.blocks}
    assert complete | set(checked.incomplete) == set(range(31))
    assert not complete & set(checked.incomplete)
    for b in checked.blocks:
        assert [t.index for t in checked.transactions if t.block_height == b.height] == list(range(b.num_txs))
    holed = {t.block_height for place, t in enumerate(transactions) if place in lost}
    assert complete == kept - holed


def test_another_chain_is_refused_with_both_names() -> None:
    (genesis, first), _ = chain({0: 0, 1: 0})
    check_chain(first, "dev", "")
    check_chain(first, "dev", first.hash)
    check_chain(genesis, "dev", "whatever block 1 is")
    with pytest.raises(WrongChain, match=r"'dev'.*'gnoland1'"):
        check_chain(first, "gnoland1", "")
    with pytest.raises(WrongChain) as refused:
        check_chain(first, "dev", "another")
    assert first.hash in str(refused.value)
    assert "another" in str(refused.value)
