"""Reading heights again whose rows are gone, from a source that has them, or no longer has."""

from io import StringIO

import pytest
from django.core.management import call_command
from pytest_django import Settings

from blocks.models import Block, Chain, Transaction
from replay.faults import Faults
from replay.server import ReplaySource
from tests.blocks.sync_runner import sync
from tests.conftest import recorded

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


def test_a_hole_is_filled_where_the_source_has_it_and_is_missing_where_it_has_not(settings: Settings) -> None:
    recording = recorded("test5-1")
    with ReplaySource(recording) as source:
        sync(source.url)
    Transaction.objects.filter(block_height__in=(60, 62)).delete()
    Block.objects.filter(height=60).delete()
    out = StringIO()
    with ReplaySource(recording, faults=Faults(missing_transactions={60: -1})) as source:
        settings.TX_INDEXER_URLS = [source.url]
        settings.SETTINGS_PROBLEMS = ()
        call_command("resync", from_height=50, to_height=70, stdout=out)
    assert "height 62 transaction 0: was not stored" in out.getvalue()
    assert "height 60: its rows are gone; it is missing from now on" in out.getvalue()
    assert Chain.objects.get().coverage == [(0, 59), (61, recording.heights[-1])]
    assert Transaction.objects.filter(block_height=62).exists()
