"""Two deployments in two schemas of one database: each leads, stores and applies its own."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from balances.models import Transfer
from blocks.sync import leadership
from blocks.sync.leadership import Leadership
from events import ledger_lock
from indexer_project import wiring
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, assert_holds, coverage, wait_until
from tests.chains import apply_pending
from tests.conftest import database_url
from tests.other_database import connected

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def schemas() -> Iterator[list[str]]:
    """The URLs of two schemas of the test database, with all tables."""
    url, names = database_url(), ("one", "two")
    with psycopg.connect(url, autocommit=True) as server:
        urls = []
        for name in names:
            server.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
            server.execute(f"CREATE SCHEMA {name}")
            urls.append(f"{url}?options=-csearch_path%3D{name}")
            with connected(urls[-1]):
                call_command("migrate", verbosity=0)
        yield urls
        for name in names:
            server.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.mark.indexer
def test_two_deployments_in_two_schemas_lead_and_correct_side_by_side(
    schemas: list[str], gnotest: Recording, test5: Recording
) -> None:
    one, two = schemas
    with ReplaySource(gnotest) as source, connected(one):
        leads = Leadership()
        assert leads.wait(threading.Event())
        leads._stop_heart()  # silent: whoever stands by for the same lock ends it
        assert ledger_lock.begin_correction()
        with ReplaySource(test5) as other, connected(two):
            with connection.cursor() as cursor:
                cursor.execute(leadership._SILENT_LEADER, [leadership._HEARTBEAT, 0])
                assert cursor.fetchone() is None, "the leader of another deployment is none of its business"
            with Sync(other.url) as running:
                wait_until(lambda: coverage() == [(0, test5.heights[-1])], 30)
                assert running.alive
            assert ledger_lock.begin_correction()
            ledger_lock.end_correction()
            assert_holds(test5)
        ledger_lock.end_correction()
        leads.lose()
        with Sync(source.url, record=wiring.record_events, until_tip=True) as running:
            running.finish()
        assert_holds(gnotest)
        apply_pending()
        assert Transfer.objects.exists()
    with connected(two):
        assert not Transfer.objects.exists()
