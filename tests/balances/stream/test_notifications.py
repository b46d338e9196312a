"""The bell that wakes the stream: rung when transfers are applied, but not by a backfill, which has better to do."""

import pytest

from balances.indexed_height import APPLIED
from events.queues.base import BATCH
from events.queues.postgres import PostgresQueue
from postgres.notifications import Bell
from tests.balances.ledger_factories import processor, put, start_chain
from tests.events.factories import Row

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db]


def test_it_is_rung_when_nothing_waits_behind_what_was_applied() -> None:
    start_chain()
    bell, queue = Bell(APPLIED), PostgresQueue()
    bell.listen()
    one = processor(queue)
    try:
        put(*([Row(height, 0, 0, "", "g1a", 1)] for height in range(BATCH + 1)))
        assert one.process_batch(0) == BATCH
        assert not bell.wait(0)
        assert one.process_batch(0) == 1
        assert bell.wait(20)
    finally:
        queue.close()
        bell.close()
