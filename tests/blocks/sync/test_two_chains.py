"""Two chains under one name: nothing of the second is stored, and what was is named, not answered from, or dropped."""

import logging
import time

import pytest
from django.db import OperationalError, connection

from blocks.models import AcceptedGap, Block, Chain, EndpointState, Transaction
from blocks.source import endpoints
from blocks.sync import chain_breaks, synchronizer
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.chain_variants import forked, reset_at
from tests.blocks.factories import block, chain
from tests.blocks.sync_runner import Sync, assert_holds, coverage, covered, stored_heights, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(synchronizer, "REPORT_SECONDS", 0.05)


def drop(height: int) -> bool:
    """What the product does with balances beside, for blocks alone."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chain SET coverage = coverage - int8multirange(int8range(%s, NULL))", [height])
    Block.objects.filter(height__gte=height).delete()
    Transaction.objects.filter(block_height__gte=height).delete()
    return True


def conflict() -> str:
    return Chain.objects.values_list("conflict", flat=True).first() or ""


@pytest.mark.parametrize(("window", "connections"), [(1000, 2), (7, 4), (1, 1)])
@pytest.mark.parametrize("at", [2, 20, 58])
def test_nothing_is_stored_from_where_a_source_changes_its_chain(
    short: Recording, at: int, window: int, connections: int, caplog: pytest.LogCaptureFixture
) -> None:
    reset = reset_at(short, at)
    with (
        caplog.at_level(logging.INFO),
        ReplaySource(reset) as source,
        Sync(source.url, window_blocks=window, connections=connections, drop=drop),
    ):
        wait_until(conflict, what=lambda: f"{coverage()}")
        wait_until(lambda: coverage() == [(0, at - 1)])
        chain = Chain.objects.get()
    assert_holds(short, 0, at - 1)
    assert (chain.conflict_height, chain.conflict_stored) == (at, False)
    for part in (reset.blocks[at]["last_block_hash"], short.blocks[at - 1]["hash"], f"block {at}"):
        assert part in chain.conflict
    assert len([line for line in caplog.messages if "serves two chains" in line]) <= 2
    assert "docs/operations.md" in EndpointState.objects.get().trouble


def test_live_blocks_of_the_other_chain_do_not_stay(test5: Recording) -> None:
    """What came live was stored above the hole, before the backfill came to the break."""
    with (
        ReplaySource(reset_at(test5, 40), start=190) as source,
        Sync(source.url, window_blocks=2, connections=1, drop=drop),
    ):
        wait_until(lambda: len(stored_heights()) > 2)
        source.advance(5)
        wait_until(lambda: covered(194))
        assert not covered(39), "the backfill was over before: the test shows nothing"
        wait_until(lambda: coverage() == [(0, 39)], what=lambda: f"{coverage()}")
        source.advance(5)
        wait_until(conflict)
        assert coverage() == [(0, 39)]
    assert_holds(test5, 0, 39)


def test_live_blocks_of_the_other_chain_that_begin_at_the_break_do_not_stay(test5: Recording) -> None:
    """The reset comes when the synchronizer begins, so that only the last window below can tell."""
    with (
        ReplaySource(reset_at(test5, 100), start=100) as source,
        Sync(source.url, window_blocks=2, connections=1, drop=drop),
    ):
        wait_until(lambda: len(stored_heights()) > 2)
        source.advance(5)
        wait_until(lambda: covered(104))
        assert not covered(99), "the backfill was over before: the test shows nothing"
        wait_until(lambda: coverage() == [(0, 99)], what=lambda: f"{coverage()}")
        wait_until(conflict)
        assert coverage() == [(0, 99)]
    assert_holds(test5, 0, 99)


def test_a_drop_that_an_outage_ended_is_done_afterwards(test5: Recording) -> None:
    failures = [OperationalError("the connection is lost")]

    def drop_after_an_outage(height: int) -> bool:
        if failures:
            Chain.objects.update(conflict="being taken out", conflict_height=height, conflict_stored=True)
            raise failures.pop()
        Chain.objects.update(conflict="", conflict_height=None, conflict_stored=False)
        return drop(height)

    with (
        ReplaySource(reset_at(test5, 40), start=190) as source,
        Sync(source.url, window_blocks=2, connections=1, drop=drop_after_an_outage),
    ):
        wait_until(lambda: len(stored_heights()) > 2)
        source.advance(5)
        wait_until(lambda: covered(194))
        wait_until(lambda: coverage() == [(0, 39)], 20, what=lambda: f"{coverage()}")
        wait_until(lambda: not Chain.objects.get().conflict_stored)
    assert not failures


def test_a_window_is_not_stored_beside_blocks_that_do_not_follow_it(test5: Recording) -> None:
    """What is above was stored before: a person decides, and nothing is answered from there until then."""
    reset = reset_at(test5, 100)
    with ReplaySource(reset) as source:
        sync(source.url, start_height=100)
    Chain.objects.update(start_height=0)
    with ReplaySource(reset) as source, Sync(source.url, window_blocks=20, drop=drop):
        wait_until(lambda: Chain.objects.get().conflict_height == 100, what=conflict)
        wait_until(lambda: covered(98))
        asked = len(source.requests)
        time.sleep(0.5)
        assert len(source.requests) - asked < 60, "what cannot be stored is asked for without a pause"
        assert not covered(99)
        assert covered(100)


def lower_totals(recording: Recording, first: int) -> Recording:
    """The same, with few transactions from the first block of the other chain on."""
    before = recording.blocks[first]["total_txs"] - 1
    blocks = [
        block | ({"total_txs": block["total_txs"] - before} if block["height"] >= first else {})
        for block in recording.blocks
    ]
    return Recording.from_rows(blocks, recording.transactions, recording.chain_id)


def test_live_blocks_that_cannot_be_above_the_backfill_do_not_stop_it(test5: Recording) -> None:
    """The other chain is young, so that its totals tell long before the backfill comes to the break."""
    with (
        ReplaySource(lower_totals(reset_at(test5, 150), 150), start=190) as source,
        Sync(source.url, window_blocks=2, connections=1, drop=drop),
    ):
        wait_until(lambda: len(stored_heights()) > 2)
        source.advance(5)
        wait_until(lambda: covered(194))
        assert not covered(100), "the backfill was over before: the test shows nothing"
        wait_until(lambda: coverage() == [(0, 149)], what=lambda: f"{coverage()}")
        wait_until(conflict)
        assert coverage() == [(0, 149)]
    assert_holds(test5, 0, 149)


def test_a_conflict_that_a_command_took_out_beside_a_running_synchronizer_is_over(
    test5: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heights are read again before the next report."""
    monkeypatch.setattr(synchronizer, "REPORT_SECONDS", 0.5)
    with ReplaySource(test5) as source, Sync(source.url) as running:
        wait_until(lambda: whole(205))
        Chain.objects.update(conflict="two blocks", conflict_height=100, conflict_stored=True)
        wait_until(lambda: running.synchronizer._islands._conflict)
        drop(100)
        Chain.objects.update(conflict="", conflict_height=None, conflict_stored=False)
        wait_until(lambda: whole(205))
        reports = running.synchronizer._next_report
        wait_until(lambda: running.synchronizer._next_report > reports + 0.4)
        assert not conflict()


def test_a_refused_endpoint_that_serves_the_stored_chain_again_is_no_conflict(test5: Recording) -> None:
    """The chain stands still, so that no rows prove it."""
    with ReplaySource(test5) as source, Sync(source.url):
        wait_until(lambda: whole(205))
        source.faults.other_chain = forked(test5, 1)
        source.faults.server_error = 1.0
        wait_until(lambda: EndpointState.objects.get().trouble)
        source.faults.server_error = 0.0
        wait_until(conflict)
        source.faults.other_chain = False
        wait_until(lambda: not conflict(), what=conflict)
        wait_until(lambda: not EndpointState.objects.get().trouble)


def test_an_endpoint_of_another_chain_is_no_conflict_while_the_right_one_is_away(test5: Recording) -> None:
    with ReplaySource(test5) as source, ReplaySource(forked(test5, 1)) as other:
        sync(source.url)
        with Sync(source.url, other.url) as running:
            away, refused = running.synchronizer.endpoints.all
            wait_until(lambda: away.current and refused.refused)
            source.faults.server_error = 1.0
            wait_until(lambda: not away.current)
            reports = running.synchronizer._next_report
            wait_until(lambda: running.synchronizer._next_report > reports)
            assert not conflict()


def test_a_sound_second_endpoint_goes_on(test5: Recording) -> None:
    with (
        ReplaySource(reset_at(test5, 40)) as reset,
        ReplaySource(test5) as sound,
        Sync(reset.url, sound.url, window_blocks=10, connections=3, drop=drop),
    ):
        wait_until(lambda: whole(205), what=lambda: f"{coverage()}")
        wait_until(lambda: not conflict())
    assert_holds(test5)


def test_the_chain_of_most_endpoints_is_adopted(test5: Recording) -> None:
    other = forked(test5, 1)
    with (
        ReplaySource(other) as alone,
        ReplaySource(test5) as one,
        ReplaySource(test5) as two,
        Sync(alone.url, one.url, two.url),
    ):
        wait_until(lambda: whole(205))
    assert_holds(test5)


def test_an_endpoint_that_answers_fast_has_one_vote(test5: Recording) -> None:
    with (
        ReplaySource(forked(test5, 1)) as alone,
        ReplaySource(test5, faults=Faults(late=1.0, late_seconds=0.1)) as one,
        ReplaySource(test5, faults=Faults(late=1.0, late_seconds=0.1)) as two,
        Sync(alone.url, one.url, two.url),
    ):
        wait_until(Chain.objects.exists)
        assert len(alone.requests) < 10, "it is asked again and again while the others are waited for"
    assert Chain.objects.get().first_block_hash == test5.blocks[1]["hash"]


def test_a_fork_that_shares_block_1_is_never_stored_beside_the_chain(test5: Recording) -> None:
    """For a while, in the middle of a backfill, the address leads to a fork."""
    with ReplaySource(test5, start=200) as source, Sync(source.url, window_blocks=5, connections=3) as running:
        wait_until(lambda: covered(9))
        source.faults.other_chain = forked(test5, 5)
        asked = len(source.requests)
        wait_until(lambda: len(source.requests) > asked + 6)
        source.faults.other_chain = False
        source.advance(6)
        wait_until(lambda: whole(205), what=lambda: f"{coverage()}")
        assert running.alive
        wait_until(lambda: not conflict())
    assert_holds(test5)


def test_a_source_that_serves_one_chain_again_is_used_again(test5: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with ReplaySource(test5) as source:
        source.faults.other_chain = reset_at(test5, 40)
        with caplog.at_level(logging.INFO), Sync(source.url, window_blocks=1000, drop=drop):
            wait_until(conflict)
            source.faults.other_chain = False
            wait_until(lambda: whole(205))
            wait_until(lambda: not conflict())
    assert "serves one chain again" in caplog.text
    assert_holds(test5)


def test_blocks_that_cannot_be_above_what_is_stored_are_refused(test5: Recording) -> None:
    """Above a hole there is no link to compare; totals and times still tell."""
    low = [block | {"total_txs": block["num_txs"]} if block["height"] > 150 else block for block in test5.blocks]
    with ReplaySource(test5, start=100) as source:
        sync(source.url)
    faulty = Recording.from_rows(low, test5.transactions)
    with ReplaySource(faulty) as source, Sync(source.url, start_height=0, window_blocks=20):
        wait_until(conflict)
    assert max(stored_heights()) <= 150


def test_an_accepted_gap_between_two_chains_is_a_conflict_of_what_is_stored(test5: Recording) -> None:
    """A database that was filled by a version that did not compare: the gap is asked for again, and tells."""
    reset = reset_at(test5, 40)
    with ReplaySource(test5, start=40) as source:
        sync(source.url)
    with ReplaySource(reset) as source:
        _store_above(source.url, 41)
    AcceptedGap.objects.create(first_height=40, last_height=40, reason="it never came")
    with pytest.MonkeyPatch.context() as patch, ReplaySource(reset) as source:
        patch.setattr(synchronizer, "RECHECK_SECONDS", 0.1)
        with Sync(source.url):
            wait_until(lambda: Chain.objects.get().conflict_stored, what=conflict)
            assert Chain.objects.get().conflict_height == 41
    assert 40 not in stored_heights()


def _store_above(url: str, first: int) -> None:
    """Store heights from `first` on as if nothing had been compared with what is below."""
    covered_before = coverage()
    Chain.objects.update(coverage=[])
    sync(url, start_height=first)
    Chain.objects.update(coverage=[*covered_before, *coverage()], start_height=0)


@pytest.mark.parametrize(
    ("identities", "chain_id", "expected"),
    [
        ([], "", None),
        ([("a", "x")], "", ("a", "x")),
        ([("a", "x"), ("a", "y"), ("a", "y")], "", ("a", "y")),
        ([("a", "x"), ("a", "y")], "", ("a", "x")),
        ([("b", "x"), ("b", "x"), ("a", "y")], "a", ("a", "y")),
        ([("b", "x")], "a", None),
    ],
)
def test_the_majority_decides_which_chain_is_adopted(
    identities: list[tuple[str, str]], chain_id: str, expected: tuple[str, str] | None
) -> None:
    (_, first), _ = chain({0: 0, 1: 0})
    shown = [[block(first, chain_id=name, hash=value)] for name, value in identities]
    adopted = chain_breaks.majority(shown, chain_id)
    assert (None if adopted is None else (adopted.chain_id, adopted.hash)) == expected
