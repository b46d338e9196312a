"""Leases of outbox rows: a relay that hangs, is frozen or dies keeps its own rows for a while, and nothing else."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest
from django.db import connection, transaction

from events import ledger_lock
from events.models import OutboxMessage
from events.outbox import backlog, publishing, store
from events.outbox.message_limit import MessageLimit
from events.queues.base import BATCH, QueueUnavailable
from events.queues.sqs.messages import MAX_BATCH_BYTES
from events.queues.sqs.queue import SqsQueue
from events.queues.sqs.relay import Relay
from tests.balances.ledger_factories import apply_all, expect_conserved, of
from tests.events.factories import put_messages
from tests.polling import in_thread

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@dataclass
class Sender:
    """Stands in for the sending end of SQS; `while_sending` runs before it answers."""

    while_sending: Callable[[], None] = lambda: None
    sent: list[int] = field(default_factory=list)
    limit: MessageLimit = field(default_factory=lambda: MessageLimit(1_048_576))

    def read_limit(self) -> None:
        """What it takes is known."""

    def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        self.while_sending()
        self.sent += [number for number, _ in messages]
        return [number for number, _ in messages]


def relay_to(sender: Sender) -> Relay:
    return Relay(cast(SqsQueue, sender), 3600, threading.Event())


def publish_all(relay: Relay) -> None:
    while relay.publish_once():
        pass


@dataclass
class Frozen:
    """A relay that is frozen while SQS has its first batch, until `thaw`."""

    sender: Sender = field(init=False)
    _reached: threading.Event = field(default_factory=threading.Event)
    _thawed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sender = Sender(self._freeze)
        self._thread = in_thread(lambda: relay_to(self.sender).publish_once())
        assert self._reached.wait(20)

    def _freeze(self) -> None:
        self._reached.set()
        assert self._thawed.wait(60)

    def thaw(self) -> None:
        self._thawed.set()
        self._thread.join(20)


@pytest.fixture
def frozen() -> Frozen:
    put_messages(15)
    return Frozen()


def end_leases() -> None:
    OutboxMessage.objects.exclude(leased_until=None).update(leased_until="2026-01-01T00:00:00Z")


def test_a_frozen_relay_keeps_its_own_rows_from_other_relays_and_nothing_else(frozen: Frozen) -> None:
    other = Sender()
    try:
        publish_all(relay_to(other))
        assert len(other.sent) == 5, "what it has not leased goes on"
        with transaction.atomic():
            ledger_lock.close(1)  # a correction, which waits a second at most for any lock
            assert len(backlog.lock_pending(0, 100)) == 15
        assert apply_all().messages == 15, "processors that read the outbox itself are not held up"
        store.prune(0)
        assert not OutboxMessage.objects.exists()
    finally:
        frozen.thaw()
    expect_conserved()


def test_another_relay_publishes_a_frozen_ones_rows_when_its_lease_is_over(frozen: Frozen) -> None:
    other = Sender()
    publish_all(relay_to(other))
    end_leases()
    publish_all(relay_to(other))
    assert len(set(other.sent)) == 15
    frozen.thaw()
    assert len(frozen.sender.sent) == BATCH, "it goes on as if nothing had been; its copies are harmless"
    assert publishing.unpublished() == 0
    apply_all()
    assert of() == {"g1a": 15}


def test_no_transaction_is_open_and_no_row_is_locked_while_the_queue_answers() -> None:
    put_messages(3)
    seen: list[bool] = []

    def look() -> None:
        seen.append(connection.in_atomic_block)
        in_thread(lambda: seen.append(bool(store.claim(3)) is False)).join(20)

    relay_to(Sender(look)).publish_once()
    assert seen == [False, False]


def test_rows_of_a_queue_that_is_away_are_given_back_at_once() -> None:
    put_messages(3)

    def away() -> None:
        raise QueueUnavailable("SQS: cannot send to q")

    with pytest.raises(QueueUnavailable):
        relay_to(Sender(away)).publish_once()
    other = Sender()
    publish_all(relay_to(other))
    assert len(other.sent) == 3


def test_rows_that_are_given_back_late_stay_with_the_relay_that_has_them_now() -> None:
    put_messages(3)
    first = publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60)
    end_leases()
    second = publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60)
    assert first.until != second.until
    publishing.release(first, [row.id for row in first.rows])
    assert not publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60).rows


def test_a_processor_that_is_frozen_with_a_row_does_not_stop_the_relay() -> None:
    put_messages(3)
    held = publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60)
    ids = [row.id for row in held.rows]
    holding, release = threading.Event(), threading.Event()

    def apply_one_and_freeze() -> None:
        with transaction.atomic():
            store.mark_applied(ids[:1])
            holding.set()
            assert release.wait(60)
            transaction.set_rollback(True)

    thread = in_thread(apply_one_and_freeze)
    try:
        assert holding.wait(20)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '1s'")
        publishing.mark_published(ids)
        publishing.release(held, ids)
    finally:
        release.set()
        thread.join(20)
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert publishing.unpublished() == 1, "the row of the frozen one comes again when its lease is over"
    end_leases()
    assert [row.id for row in publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60).rows] == ids[:1]


def test_a_redriven_message_is_free_at_once_whatever_lease_it_had() -> None:
    put_messages(1)
    (row,) = publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60).rows
    store.set_aside("q", row.id, row.body, "why")
    store.redrive()
    assert publishing.lease(BATCH, MAX_BATCH_BYTES, 3600, 60).rows == (row,)
