"""Gaps: accepted by a person, found among stored rows, and read again."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from blocks import gaps
from blocks.models import AcceptedGap, Block, Chain, IncompleteRange, Transaction
from blocks.spans import Span
from blocks.sync import synchronizer
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, assert_holds, coverage, covered, sync, wait_until, whole
from tests.conftest import recorded

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded("test5-1")


def call(name: str, *arguments: Any, **options: Any) -> str:
    out = StringIO()
    call_command(name, *arguments, stdout=out, **options)
    return out.getvalue()


def test_a_height_that_never_comes_can_be_accepted_and_the_synchronizer_then_ends(recording: Recording) -> None:
    with (
        ReplaySource(recording, faults=Faults(missing_transactions={60: -1})) as source,
        Sync(source.url, until_tip=True) as running,
    ):
        wait_until(lambda: IncompleteRange.objects.filter(first_height=60).exists())
        assert "1 transactions" in IncompleteRange.objects.get(first_height=60).reason
        assert [gap.span for gap in gaps.open_gaps()] == [Span(60, 60)]
        assert "missing   60 to 60" in call("gaps", "list")
        call("gaps", "accept", "60", "60", reason="the server is newer than the chain")
        running.finish()
    assert coverage() == [(0, 59), (61, 205)]
    assert gaps.open_gaps() == []
    assert "the server is newer than the chain" in call("gaps", "list")


def test_the_lowest_height_that_is_waited_for_is_known_and_since_when(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synchronizer, "REPORT_SECONDS", 0.01)
    faults = Faults(missing_transactions={60: -1, 70: -1})

    def waiting() -> Any:
        return Chain.objects.values_list("waiting_height", "waiting_since").get()

    with ReplaySource(recording, faults=faults) as source, Sync(source.url) as running:
        wait_until(lambda: running.gaps().keys() == {60, 70} and covered(205) and waiting()[0] == 60)
        since = waiting()[1]
        attempts = running.synchronizer._retries.attempts(Span(60, 60))
        wait_until(lambda: running.synchronizer._retries.attempts(Span(60, 60)) > attempts)
        assert waiting() == (60, since), "since when it became the lowest, however often it was asked for"
        source.faults.missing_transactions = {70: -1}
        wait_until(lambda: waiting()[0] == 70)
        assert waiting()[1] > since
        source.faults.missing_transactions = {}
        wait_until(lambda: waiting()[0] is None)


def test_an_accepted_gap_can_be_revoked_and_is_then_read(recording: Recording) -> None:
    faults = Faults(missing_transactions={60: -1})
    with ReplaySource(recording, faults=faults) as source, Sync(source.url) as running:
        wait_until(lambda: running.gaps().keys() == {60} and covered(205))
        call("gaps", "accept", "60", "60", reason="for a while")
        wait_until(lambda: not running.synchronizer._missing())
        source.faults.missing_transactions = {}
        call("gaps", "revoke", "60", "60")
        wait_until(lambda: covered(60))
    assert_holds(recording)


@pytest.mark.parametrize(("first", "last"), [(10, 10), (200, 300), (5, 3)])
def test_only_heights_that_are_missing_can_be_accepted(recording: Recording, first: int, last: int) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
    with pytest.raises(CommandError):
        call("gaps", "accept", str(first), str(last), reason="no")
    assert not AcceptedGap.objects.exists()


def test_revoking_what_was_not_accepted_is_an_error(recording: Recording) -> None:
    with pytest.raises(CommandError, match="No accepted gap"):
        call("gaps", "revoke", "1", "1")


def test_whole_stored_rows_have_no_faults(recording: Recording) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
    assert list(gaps.find_faults()) == []
    assert "is complete" in call("findgaps")


def test_rows_removed_by_hand_are_found_and_repaired_while_the_synchronizer_runs(recording: Recording) -> None:
    with ReplaySource(recording) as source, Sync(source.url):
        wait_until(lambda: whole(205))
        Block.objects.filter(height__in=[0, 17]).delete()
        Transaction.objects.filter(block_height=125).delete()
        Block.objects.filter(height=150).update(hash="another")
        with pytest.raises(CommandError, match="5 heights are not whole"):
            call("findgaps")
        said = call("findgaps", repair=True)
        assert "height 0: its block is gone" in said
        assert "height 17: its block is gone" in said
        assert "height 125: it has 0 transactions of 1" in said
        assert "height 151: it does not follow the block before it" in said
        assert "height 150: the block after it does not follow it" in said
        wait_until(lambda: coverage() == [(0, 205)])
    assert_holds(recording)


def test_findgaps_with_nothing_stored_says_so() -> None:
    with pytest.raises(CommandError, match="nothing is stored"):
        call("findgaps")


def test_resync_reports_what_differed_and_stores_it(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
        Transaction.objects.filter(block_height=60, index=0).update(memo="changed", success=False)
        Block.objects.filter(height=61).update(time="2020-01-01T00:00:00Z")
        settings.TX_INDEXER_URLS = [source.url]
        settings.SETTINGS_PROBLEMS = ()
        said = call("resync", from_height=50, to_height=70)
    assert "height 60 transaction 0: success was False and is True" in said
    assert "height 60 transaction 0: memo was 'changed' and is ''" in said
    assert "height 61: time was" in said
    assert "3 differences between heights 50 and 70" in said
    assert_holds(recording)


def test_resync_of_an_untouched_range_differs_in_nothing(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
        settings.TX_INDEXER_URLS = [source.url]
        settings.SETTINGS_PROBLEMS = ()
        assert "0 differences" in call("resync", from_height=0, to_height=205)


def test_missing_genesis_is_a_gap_said_with_the_way_out(recording: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with ReplaySource(recording, faults=Faults(missing_blocks={0})) as source, Sync(source.url):
        wait_until(lambda: IncompleteRange.objects.filter(first_height=0).exists())
    lines = [line for line in caplog.messages if "from=0 to=0" in line]
    assert len(lines) == 1
    assert "gaps accept 0 0" in lines[0]
    assert Chain.objects.get().coverage == [(1, 205)]


def test_a_gap_between_two_chains_is_neither_accepted_nor_passed_over(recording: Recording) -> None:
    """The sides of a gap are compared by what is stored: here the totals fall."""
    with ReplaySource(recording) as source:
        sync(source.url)
    gaps.uncover([60])
    Block.objects.filter(height__gt=60).update(total_txs=0, num_txs=0)
    with pytest.raises(CommandError, match="two sides are not of one chain"):
        call("gaps", "accept", "60", "60", reason="lost")
    assert not AcceptedGap.objects.exists()
    AcceptedGap.objects.create(first_height=60, last_height=60, reason="accepted by a version that did not compare")
    (conflict,) = gaps.side_conflicts()
    assert conflict.height == 61
    assert "60 to 60" in conflict.reason
    faults = [fault.reason for fault in gaps.find_faults() if "gap 60 to 60" in fault.reason]
    assert len(faults) == 1


def test_a_height_where_a_source_changes_its_chain_is_no_gap_to_accept(recording: Recording) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
    gaps.uncover([60])
    Chain.objects.update(conflict="block 60 ('a') does not link", conflict_height=60)
    with pytest.raises(CommandError, match="two chains are no gap"):
        call("gaps", "accept", "60", "60", reason="lost")
