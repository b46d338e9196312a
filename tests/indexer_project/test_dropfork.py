"""`manage.py dropfork`: stored heights of another chain go, balances included, and the right ones come."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from balances.models import Transfer
from blocks.models import Chain
from indexer_project import wiring
from indexer_project.fork_removal import drop_fork
from replay.recording import Recording
from replay.server import ReplaySource
from tests.balances.ledger_factories import apply_all
from tests.blocks.chain_variants import forked, pruned, reset_at
from tests.blocks.sync_runner import Sync, assert_holds, coverage, sync, wait_until, whole
from tests.conftest import recorded

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded("gnotest-1").truncated(120)


def dropfork(settings: Any, *urls: str, **options: Any) -> str:
    settings.TX_INDEXER_URLS = list(urls)
    settings.SETTINGS_PROBLEMS = ()
    out = StringIO()
    call_command("dropfork", stdout=out, **options)
    return out.getvalue()


def test_a_fork_that_was_stored_is_taken_out_and_the_right_chain_read(recording: Recording, settings: Any) -> None:
    """A fork that shares blocks 1 to 39 is served first, so the right source is refused afterwards."""
    with ReplaySource(forked(recording, 40)) as source:
        sync(source.url, record=wiring.record_events)
    apply_all()
    before = Transfer.objects.count()
    with ReplaySource(recording) as one, ReplaySource(recording) as two, Sync(one.url, record=wiring.record_events):
        wait_until(lambda: Chain.objects.get().conflict)
        assert "From height 40 on" in dropfork(settings, one.url, two.url, dry_run=True)
        assert coverage() == [(0, 119)]
        said = dropfork(settings, one.url, two.url)
        assert "From height 40 on: block 40 is stored as" in said
        wait_until(lambda: whole(119), 20)
        wait_until(lambda: not Chain.objects.get().conflict)
    apply_all()
    assert_holds(recording)
    assert Transfer.objects.count() == before
    call_command("audit", deep=True, stdout=StringIO())


def test_what_the_endpoints_serve_is_left_alone(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
        assert "All that is stored is of the chain" in dropfork(settings, source.url)
    assert coverage() == [(0, 119)]


def test_another_chain_from_block_1_on_needs_a_new_database(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source:
        sync(source.url)
    with ReplaySource(forked(recording, 1)) as source, pytest.raises(CommandError, match="use a new database"):
        dropfork(settings, source.url)
    assert coverage() == [(0, 119)]


def test_endpoints_that_disagree_in_equal_numbers_decide_nothing(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source, ReplaySource(forked(recording, 40)) as fork:
        sync(source.url)
        with pytest.raises(CommandError, match="As many endpoints serve one chain as another"):
            dropfork(settings, source.url, fork.url)


def test_an_endpoint_that_is_away_has_no_vote(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source, ReplaySource(forked(recording, 40)) as fork:
        sync(source.url)
        assert "From height 40 on" in dropfork(settings, "http://127.0.0.1:1/", fork.url, dry_run=True)
    with pytest.raises(CommandError, match="No endpoint answers"):
        dropfork(settings, "http://127.0.0.1:1/")


def test_endpoints_that_have_nothing_of_what_is_stored_have_no_vote(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording.truncated(80)) as source:
        sync(source.url)
    with (
        ReplaySource(pruned(recording, 100)) as one,
        ReplaySource(pruned(recording, 90)) as two,
        ReplaySource(forked(recording, 40)) as fork,
    ):
        assert "From height 40 on" in dropfork(settings, one.url, two.url, fork.url, dry_run=True)
        with pytest.raises(CommandError, match="No endpoint answers"):
            dropfork(settings, one.url, two.url)


def test_a_height_that_a_person_names_is_taken_out_from(recording: Recording, settings: Any) -> None:
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
        apply_all()
        dropfork(settings, source.url, from_height=60)
        assert coverage() == [(0, 59)]
        with pytest.raises(CommandError, match="is no height"):
            dropfork(settings, source.url, from_height=-1)


def test_a_synchronizer_drops_live_heights_of_the_other_chain_with_their_balances(recording: Recording) -> None:
    """The whole path of the product: blocks, messages, transfers and balances."""
    with (
        ReplaySource(reset_at(recording, 40), start=110) as source,
        Sync(source.url, window_blocks=2, connections=1, record=wiring.record_events, drop=drop_fork),
    ):
        wait_until(lambda: len(coverage()) > 0)
        source.advance(5)
        wait_until(lambda: coverage() and coverage()[-1][1] == 114)
        apply_all()
        wait_until(lambda: coverage() == [(0, 39)], 20)
        apply_all()
    assert not Transfer.objects.filter(block_height__gte=40).exists()
    call_command("audit", deep=True, stdout=StringIO())
