"""The synchronizer over a source in good health: what is stored is the recording, whatever the budgets."""

import pytest
from django.db import connection

from blocks.models import Block, Chain, Transaction
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import (
    Sync,
    assert_holds,
    coverage,
    covered,
    stored_heights,
    stored_transactions,
    sync,
    wait_until,
    whole,
)
from tests.conftest import recorded

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_what_is_stored_is_the_recording_and_twice_changes_nothing(name: str) -> None:
    recording = recorded(name)
    with ReplaySource(recording) as source:
        sync(source.url)
        assert_holds(recording)
        chain = Chain.objects.get()
        first = recording.blocks[1]
        assert (chain.chain_id, chain.first_block_hash) == (first["chain_id"], first["hash"])
        assert chain.tip == recording.heights[-1]
        assert chain.tip_seen_at is not None
        rows, asked = stored_transactions(), len(source.requests)
        sync(source.url)
        assert stored_transactions() == rows, "rows were written again"
        assert not [r for r in source.requests[asked:] if "getTransactions" in r.query], "rows were read again"
        assert_holds(recording)


def test_genesis_is_a_block_with_its_transactions(test5: Recording) -> None:
    with ReplaySource(test5, start=1) as source:
        sync(source.url)
        assert_holds(test5, 0, 0)
        assert Transaction.objects.filter(block_height=0).count() == test5.blocks[0]["num_txs"] > 0
        assert Chain.objects.get().first_block_hash == ""
        source.advance(1)
        sync(source.url)
    assert Chain.objects.get().first_block_hash == test5.blocks[1]["hash"]
    assert_holds(test5, 0, 1)


def test_it_resumes_from_what_is_stored(test5: Recording) -> None:
    with ReplaySource(test5, start=100) as source:
        sync(source.url)
        assert coverage() == [(0, 99)]
        before, asked = stored_transactions(), len(source.requests)
        source.advance(1000)
        sync(source.url)
        assert_holds(test5)
        assert stored_transactions()[: len(before)] == before, "what was stored was written again"
        texts = [request.query for request in source.requests[asked:] if "getTransactions" in request.query]
        assert all("gt" in text for text in texts)


@pytest.mark.parametrize("start", [1, 2, 77, 205])
def test_a_start_height_leaves_out_what_is_below(test5: Recording, start: int) -> None:
    with ReplaySource(test5) as source:
        sync(source.url, start_height=start)
    assert_holds(test5, start)
    assert Chain.objects.get().start_height == start


def test_a_start_height_above_the_tip_stores_nothing_and_ends(test5: Recording) -> None:
    with ReplaySource(test5) as source:
        sync(source.url, start_height=206)
    assert stored_heights() == []


def test_a_lower_start_height_later_fills_what_was_left_out(test5: Recording) -> None:
    with ReplaySource(test5) as source:
        sync(source.url, start_height=150)
        sync(source.url, start_height=0)
    assert_holds(test5)
    assert Chain.objects.get().start_height == 0


@pytest.mark.parametrize("window", [1, 7, 9_999])
def test_any_window_gives_the_same_rows(test5: Recording, window: int) -> None:
    with ReplaySource(test5.truncated(90)) as source:
        sync(source.url, window_blocks=window, window_transactions=window, connections=3)
    assert_holds(test5, 0, 89)


def test_windows_halve_when_the_server_gives_fewer_rows_than_expected(gnotest: Recording) -> None:
    with ReplaySource(gnotest.truncated(200), cap=50) as source:
        sync(source.url, window_blocks=300, window_transactions=45)
    assert_holds(gnotest, 0, 199)


def test_a_block_over_the_cap_is_read_in_pages(gnotest: Recording) -> None:
    recording = gnotest.truncated(140)
    with ReplaySource(recording, cap=20) as source:
        sync(source.url, window_blocks=300, window_transactions=19)
        pages = [request for request in source.requests if "index:{" in request.query and "eq:132" in request.query]
    assert_holds(recording)
    assert len(pages) >= 98 / 19


def test_a_block_over_a_cap_that_nobody_foresaw_is_read_in_pages(gnotest: Recording) -> None:
    """The budget says that 98 rows fit and the server says that they do not: it is still one block."""
    recording = gnotest.truncated(140)
    with ReplaySource(recording, cap=50) as source:
        sync(source.url, window_transactions=1000, seconds=4)
    assert_holds(recording)


def test_a_block_over_the_byte_budget_is_read_in_pages(gnotest: Recording) -> None:
    recording = gnotest.truncated(140)
    with ReplaySource(recording) as source:
        sync(source.url, window_transactions=1000, max_answer_bytes=65_536, seconds=4)
    assert_holds(recording)


def test_a_block_of_exactly_the_cap_is_read(gnotest: Recording) -> None:
    """A window of exactly the cap's rows comes with the error, although nothing is left out."""
    recording = gnotest.truncated(140)
    with ReplaySource(recording, cap=98) as source:
        sync(source.url, window_transactions=98, seconds=4)
    assert_holds(recording)


def test_rows_deleted_by_hand_are_read_again(test5: Recording) -> None:
    with ReplaySource(test5) as source:
        sync(source.url)
        Block.objects.filter(height__in=[0, 1, 77, 78, 205]).delete()
        Transaction.objects.filter(block_height__in=[0, 1, 77, 78, 205]).delete()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chain SET coverage = coverage - '{[0,2),[77,79),[205,206)}'")
        assert coverage() == [(2, 76), (79, 204)]
        sync(source.url)
    assert_holds(test5)


def test_transactions_left_behind_without_coverage_are_replaced(test5: Recording) -> None:
    """Whatever lies at an uncovered height is no evidence: the source's rows take its place."""
    with ReplaySource(test5) as source:
        sync(source.url)
        Transaction.objects.filter(block_height=125).update(memo="forged")
        Block.objects.filter(height=125).update(proposer_address="forged")
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chain SET coverage = coverage - '{[125,126)}'")
        sync(source.url)
    assert_holds(test5)


def test_new_blocks_are_followed_by_polling(test5: Recording) -> None:
    with ReplaySource(test5, start=50) as source, Sync(source.url):
        wait_until(lambda: whole(49))
        source.advance(3)
        wait_until(lambda: whole(52))
        source.advance(100)
        wait_until(lambda: whole(152))
    assert_holds(test5, 0, 152)


def test_new_blocks_go_before_the_backfill(gnotest: Recording) -> None:
    """Live and backfill at the same time: a new block does not wait for four hundred old ones."""
    order: list[int] = []
    with ReplaySource(gnotest, start=400) as source:
        running = Sync(
            source.url,
            window_blocks=1,
            connections=1,
            record=lambda chain_id, transactions: order.extend({t.block_height for t in transactions}),
        )
        with running:
            wait_until(lambda: len(stored_heights()) > 5)
            source.advance(10)
            wait_until(lambda: covered(409))
            assert not covered(399), "the backfill was over before: the test shows nothing"


def test_it_tells_how_much_it_stored(test5: Recording) -> None:
    told: list[tuple[int, int]] = []
    with ReplaySource(test5) as source:
        running = Sync(source.url, until_tip=True)
        running.synchronizer.on_progress = lambda blocks, transactions: told.append((blocks, transactions))
        with running:
            running.finish()
    assert sum(blocks for blocks, _ in told) == 206
    assert sum(transactions for _, transactions in told) == 203


def test_the_recorder_is_told_each_transaction_once_and_in_order(test5: Recording) -> None:
    told: list[tuple[int, int]] = []
    names: set[str] = set()

    def record(chain_id: str, transactions: object) -> None:
        names.add(chain_id)
        places = [(t.block_height, t.index) for t in transactions]  # type: ignore[attr-defined]
        assert places == sorted(places)
        told.extend(places)

    with ReplaySource(test5) as source:
        sync(source.url, record=record)
        sync(source.url, record=record)
    assert sorted(told) == [(row["block_height"], row["index"]) for row in test5.transactions]
    assert names == {test5.blocks[1]["chain_id"]}
