"""Heights that no endpoint has: one range, whatever its length, and everything around it is stored."""

import logging
import re
from collections.abc import Callable

import pytest

from blocks.models import AcceptedGap, Block, Chain, IncompleteRange
from blocks.spans import Span
from blocks.sync import synchronizer
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.chain_variants import begins_at, pruned
from tests.blocks.faulty_proxy import Meddler, Reply
from tests.blocks.sync_runner import Sync, coverage, covered, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

BILLION = 10**9


@pytest.fixture(autouse=True)
def _frequent_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synchronizer, "REPORT_SECONDS", 0.05)


@pytest.mark.parametrize("first", [2, 704_053, BILLION])
def test_a_chain_that_begins_later_needs_no_accepted_gap(
    short: Recording, first: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(begins_at(short, first)) as source, caplog.at_level(logging.INFO):
        sync(source.url, window_blocks=10)
        asked = len(source.requests)
    assert coverage() == [(0, 0), (first, first + 58)]
    chain = Chain.objects.get()
    assert (chain.first_height, chain.first_height_proven) == (first, True)
    assert not AcceptedGap.objects.exists()
    assert not IncompleteRange.objects.exists()
    assert len([line for line in caplog.messages if "The chain begins at" in line]) == 1
    assert asked < 60, "what a gap costs depends on its length"


def test_a_chain_that_begins_later_says_so_after_a_restart_too(short: Recording) -> None:
    """The process ended when its first block was stored and the missing heights below were not yet known as absent."""
    with ReplaySource(begins_at(short, 5000)) as source:
        sync(source.url)
        Chain.objects.update(first_height=None, first_height_proven=False)
        sync(source.url)
    assert Chain.objects.get().first_height == 5000


def test_a_first_height_that_a_command_took_out_is_found_again(short: Recording) -> None:
    with ReplaySource(begins_at(short, 5000)) as source, Sync(source.url) as running:
        wait_until(lambda: Chain.objects.filter(first_height=5000).exists() and covered(5058))
        Chain.objects.update(coverage=[(0, 0)], first_height=None, first_height_proven=False)
        Block.objects.filter(height__gt=0).delete()
        wait_until(lambda: Chain.objects.get().first_height == 5000)
        wait_until(lambda: not running.synchronizer._missing())


def test_a_chain_that_begins_at_block_1_says_so(short: Recording) -> None:
    with ReplaySource(short) as source:
        sync(source.url, start_height=10)
    chain = Chain.objects.get()
    assert (chain.first_height, chain.first_height_proven) == (1, True)
    assert coverage() == [(10, 59)]


def test_a_source_with_nothing_below_gives_the_first_height_without_a_proof(
    test5: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(pruned(test5, 100)) as source:
        sync(source.url, window_blocks=20)
    chain = Chain.objects.get()
    assert (chain.first_height, chain.first_height_proven) == (100, False)
    assert coverage() == [(100, 205)]
    counted = test5.blocks[100]["total_txs"] - test5.blocks[100]["num_txs"]
    assert f"transactions_not_counted={counted}" in caplog.text


def test_what_a_second_endpoint_has_below_is_part_of_the_chain(test5: Recording) -> None:
    with ReplaySource(pruned(test5, 100)) as late, ReplaySource(test5) as source:
        sync(late.url, source.url, window_blocks=20)
    chain = Chain.objects.get()
    assert (chain.first_height, chain.first_height_proven) == (1, True)
    assert coverage() == [(0, 205)]


def test_a_missing_genesis_is_not_taken_for_a_chain_that_begins_later(short: Recording) -> None:
    with ReplaySource(short, faults=Faults(missing_blocks={0})) as source, Sync(source.url) as running:
        wait_until(lambda: IncompleteRange.objects.filter(first_height=0, last_height=0).exists())
        assert running.synchronizer._missing()[0].first == 0
    assert Chain.objects.get().first_height == 1


def test_a_long_gap_in_the_middle_is_one_row_and_one_line_and_starves_nothing(
    test5: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    far = BILLION
    blocks = [block | {"height": block["height"] + (far if block["height"] >= 100 else 0)} for block in test5.blocks]
    rows = [
        row | {"block_height": row["block_height"] + (far if row["block_height"] >= 100 else 0)}
        for row in test5.transactions
    ]
    with ReplaySource(Recording.from_rows(blocks, rows)) as source, Sync(source.url, window_blocks=20) as running:
        wait_until(lambda: coverage() == [(0, 99), (far + 100, far + 205)])
        wait_until(lambda: IncompleteRange.objects.exists())
        row = IncompleteRange.objects.get()
        assert (row.first_height, row.last_height) == (100, far + 99)
        assert row.reason.startswith("no block")
        assert len([line for line in caplog.messages if "stay incomplete" in line]) == 1
        assert running.alive


def test_blocks_that_come_late_in_a_long_gap_are_stored(test5: Recording) -> None:
    faults = Faults(missing_blocks=frozenset(range(40, 190)))
    with ReplaySource(test5, faults=faults) as source, Sync(source.url, window_blocks=20):
        wait_until(lambda: coverage() == [(0, 39), (190, 205)])
        source.faults.missing_blocks = frozenset(range(40, 100))
        wait_until(lambda: coverage() == [(0, 39), (100, 205)])
        source.faults.missing_blocks = ()
        wait_until(lambda: whole(205))


# A tip that no block stands behind


def claiming(claimed: Callable[[], int | None]) -> Callable[[str, Callable[[], Reply]], Reply]:
    def meddle(question: str, ask: Callable[[], Reply]) -> Reply:
        answer = ask()
        if (height := claimed()) is not None:
            answer.body = re.sub(rb'"latestBlockHeight":\s*\d+', b'"latestBlockHeight":%d' % height, answer.body)
        return answer

    return meddle


@pytest.mark.parametrize("claim", [220, 9_000_000, BILLION])
def test_a_tip_is_believed_as_far_as_its_block_is_shown(
    test5: Recording, claim: int, caplog: pytest.LogCaptureFixture
) -> None:
    bogus: list[int] = []
    meddle = claiming(lambda: bogus[0] if bogus else None)
    with ReplaySource(test5, start=100) as source, Meddler(meddle, source.url) as proxy, Sync(proxy.url) as running:
        wait_until(lambda: whole(99))
        bogus.append(claim)
        asked = len(source.requests)
        wait_until(lambda: len(source.requests) > asked + 5)
        source.advance(50)
        wait_until(lambda: whole(149))
        assert Chain.objects.get().tip == 149
        bogus.clear()
        source.advance(56)
        wait_until(lambda: whole(205))
        assert running.alive
        assert running.gaps() == {}
    assert not IncompleteRange.objects.exists()
    assert len([line for line in caplog.messages if "claims blocks" in line]) <= 1


def test_a_tip_that_is_nonsense_from_the_start_is_not_waited_for(test5: Recording) -> None:
    with (
        ReplaySource(test5, start=100) as source,
        Meddler(claiming(lambda: 9_000_000), source.url) as proxy,
        Sync(proxy.url),
    ):
        wait_until(lambda: whole(99))
        assert Chain.objects.get().tip == 99


# Accepted gaps


def test_an_accepted_gap_that_heals_is_stored_and_the_acceptance_ends(
    test5: Recording, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronizer, "RECHECK_SECONDS", 0.2)
    faults = Faults(missing_blocks={50, 51, 52}, missing_transactions={125: -1})
    with (
        caplog.at_level(logging.INFO),
        ReplaySource(test5, faults=faults) as source,
        Sync(source.url) as running,
    ):
        wait_until(lambda: running.gaps().keys() == {50, 51, 52, 125} and covered(205))
        AcceptedGap.objects.create(first_height=50, last_height=52, reason="lost")
        AcceptedGap.objects.create(first_height=125, last_height=125, reason="lost")
        wait_until(lambda: not running.synchronizer._missing())
        source.faults.missing_blocks, source.faults.missing_transactions = {51}, {}
        wait_until(lambda: coverage() == [(0, 50), (52, 205)])
        assert [gap.first_height for gap in AcceptedGap.objects.all()] == [50]
        source.faults.missing_blocks = ()
        wait_until(lambda: whole(205))
        wait_until(lambda: caplog.text.count("the acceptance ends") == 2)
    assert not AcceptedGap.objects.exists()


# Reports


def test_a_report_writes_what_changed_and_nothing_else(test5: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    with ReplaySource(test5, faults=Faults(missing_blocks={50})) as source, Sync(source.url) as running:
        wait_until(lambda: IncompleteRange.objects.filter(first_height=50).exists())
        assert covered(205)
        row = IncompleteRange.objects.get()
        attempts = running.synchronizer._retries.attempts
        IncompleteRange.objects.update(reason="untouched")
        before = attempts(Span(50, 50))
        reports = running.synchronizer._next_report
        wait_until(lambda: running.synchronizer._next_report > reports)
        if attempts(Span(50, 50)) == before:
            assert IncompleteRange.objects.get().reason == "untouched"
        assert row.last_height == 50
