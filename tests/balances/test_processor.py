"""The processor: what it cannot understand or believe is set aside, everything else is applied once."""

import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import DataError, InterfaceError, OperationalError, ProgrammingError, transaction

from balances import processor as processor_module
from balances.indexed_height import read_indexed_height
from balances.ledger.apply import apply
from balances.models import Balance, Transfer
from balances.processor import Processor
from events.models import OutboxMessage, SetAsideMessage
from events.outbox import store
from events.outbox.message import decode
from events.queues.base import Delivery, QueueUnavailable
from events.queues.postgres import PostgresQueue
from tests.balances.ledger_factories import apply_all, drain, expect_conserved, of, processor, put, start_chain
from tests.events.factories import CHAIN, Row, put_messages

pytestmark = [pytest.mark.db, pytest.mark.django_db]


AWAY = [QueueUnavailable("away"), OperationalError("gone"), InterfaceError("shut")]


class Handed:
    """A queue that hands out given bodies, as SQS does: nothing but a body and an id of its own."""

    def __init__(self, *bodies: str) -> None:
        self.bodies = list(bodies)
        self.closed = 0
        self.left: list[str] = []

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        bodies, self.bodies = self.bodies[:10], self.bodies[10:]
        with transaction.atomic():
            yield [Delivery(f"sqs-{number}", body) for number, body in enumerate(bodies)]

    def leave(self, delivery: Delivery) -> None:
        self.left.append(delivery.body)

    def close(self) -> None:
        self.closed += 1


def mint(height: int, amount: int = 10, to: str = "g1a") -> list[Row]:
    return [Row(height, 0, 0, "", to, amount)]


def changed(row: OutboxMessage, **fields: Any) -> str:
    return json.dumps(json.loads(row.body) | fields)


def rewrite_body(row: OutboxMessage, body: str) -> None:
    OutboxMessage.objects.filter(id=row.id).update(body=body)


def process(*bodies: str) -> Processor:
    one = processor(Handed(*bodies))
    drain(lambda: one.process_batch(0))
    return one


def set_aside() -> list[tuple[int | None, str]]:
    return [(row.outbox_id, row.reason) for row in SetAsideMessage.objects.order_by("id")]


def test_a_batch_is_applied_and_marked_so() -> None:
    put(mint(1), mint(2), mint(3))
    one = apply_all()
    assert of() == {"g1a": 30}
    assert store.depth() == store.Depth(0, 0)
    assert (one.messages, one.transfers) == (3, 3)


def test_copies_of_a_message_are_applied_once_wherever_they_turn_up() -> None:
    (row,) = put(mint(1))
    one = process(row.body, row.body)
    assert of() == {"g1a": 10}
    process(row.body)
    assert of() == {"g1a": 10}
    assert set_aside() == []
    assert one.transfers == 2, "both were carried in one batch"
    expect_conserved()


def test_a_message_whose_row_was_pruned_long_ago_changes_nothing() -> None:
    (row,) = put(mint(1))
    process(row.body)
    OutboxMessage.objects.all().delete()
    process(row.body)
    assert of() == {"g1a": 10}
    assert set_aside() == []


# What cannot be understood


def test_a_message_of_a_future_version_is_set_aside_others_go_on_and_it_is_applied_once_it_is_understood() -> None:
    start_chain([(0, 40)])
    future, ordinary = put(mint(5), mint(9, to="g1b"))
    rewrite_body(future, changed(future, version=2))
    apply_all()
    assert of() == {"g1b": 10}
    assert set_aside() == [(future.id, "version 2, and this program reads version 1")]
    assert store.depth() == store.Depth(pending=0, set_aside=1)
    assert OutboxMessage.objects.filter(id=future.id, applied_at=None).exists(), "the row stays"
    assert read_indexed_height().height == 4, "and the indexed height does not pass it"
    apply_all()
    assert len(set_aside()) == 1, "it does not come by itself"

    rewrite_body(future, future.body)  # the upgrade: this program now understands what it says
    assert store.redrive() == 1
    apply_all()
    assert of() == {"g1a": 10, "g1b": 10}
    assert store.depth() == store.Depth(0, 0)
    assert read_indexed_height().height == 40
    assert ordinary.id not in {outbox_id for outbox_id, _ in set_aside()}
    expect_conserved()


@pytest.mark.parametrize(
    "garbage", ["", "hello", "{}", "[" * 50_000, '{"version":1,"id":1}', "null"], ids=lambda g: g[:9]
)
def test_garbage_in_the_queue_is_set_aside_and_others_go_on(garbage: str) -> None:
    (row,) = put(mint(1))
    process(garbage, row.body)
    assert of() == {"g1a": 10}
    ((outbox_id, reason),) = set_aside()
    assert outbox_id is None
    assert reason.startswith("not a message")
    assert SetAsideMessage.objects.get().body == garbage


def test_garbage_in_the_outbox_is_set_aside_with_its_row_and_others_go_on() -> None:
    start_chain([(0, 40)])
    broken, _ = put(mint(5), mint(9))
    rewrite_body(broken, "garbage")
    apply_all()
    assert of() == {"g1a": 10}
    assert [outbox_id for outbox_id, _ in set_aside()] == [broken.id]
    assert store.depth() == store.Depth(pending=0, set_aside=1)
    assert read_indexed_height().height == 4


def test_a_message_of_another_chain_is_set_aside_and_changes_no_row_of_this_one() -> None:
    (row,) = put(mint(1))
    process(changed(row, chain_id="other-1"))
    assert of() == {}
    ((outbox_id, reason),) = set_aside()
    assert outbox_id is None
    assert "other-1" in reason
    assert CHAIN in reason
    assert store.depth() == store.Depth(pending=1, set_aside=0), "the row of that number is this chain's own"


def test_a_database_without_a_chain_believes_no_message() -> None:
    (row,) = put(mint(1))
    one = Processor(Handed(row.body), lambda: None, threading.Event())
    one.process_batch(0)
    assert of() == {}
    assert store.depth().pending == 1


def test_what_is_set_aside_is_left_with_the_queue_and_the_rest_is_acknowledged() -> None:
    (row,) = put(mint(1))
    queue = Handed("garbage", row.body)
    processor(queue).process_batch(0)
    assert queue.left == ["garbage"]


def test_what_a_person_discarded_is_acknowledged_should_it_come_again() -> None:
    process("garbage")
    SetAsideMessage.objects.update(discarded_at="2026-01-01T00:00:00Z")
    queue = Handed("garbage")
    processor(queue).process_batch(0)
    assert queue.left == []
    assert SetAsideMessage.objects.get().receives == 2


def test_a_copy_that_cannot_be_understood_of_a_row_that_is_applied_is_passed_over() -> None:
    """A newer processor beside this one was quicker."""
    (row,) = put(mint(1))
    rewrite_body(row, changed(row, version=2))
    store.mark_applied([row.id])
    process(changed(row, version=2))
    assert set_aside() == []


# What cannot be believed


def test_a_message_that_was_tampered_with_is_set_aside_and_its_row_still_waits() -> None:
    (row,) = put(mint(1))
    process(changed(row, transfers=[[1, 0, 0, 0, -1, 0, "1000000"]]))
    assert of() == {}
    assert set_aside() == [(None, f"it is not what the outbox holds as message {row.id}")]
    assert store.depth() == store.Depth(pending=1, set_aside=0)
    process(row.body)
    assert of() == {"g1a": 10}


def test_a_tampered_version_does_not_set_the_row_aside() -> None:
    (row,) = put(mint(1))
    process(changed(row, version=9))
    assert [outbox_id for outbox_id, _ in set_aside()] == [None]
    assert store.depth() == store.Depth(pending=1, set_aside=0)


def test_old_messages_of_a_database_made_anew_do_not_pass_for_its_own() -> None:
    """A queue outlives a database: after a reset, numbers start again and mean other heights."""
    old, _ = put(mint(1), mint(2))
    (new,) = put(mint(3, amount=7))
    process(changed(old, id=new.id), changed(old, id=10**6))
    assert of() == {}
    assert new.id in OutboxMessage.objects.filter(applied_at=None).values_list("id", flat=True)
    process(new.body)
    assert of() == {"g1a": 7}


def test_a_row_that_claims_another_rows_number_is_set_aside_and_the_other_is_applied() -> None:
    liar, honest = put(mint(1), mint(2, to="g1b"))
    rewrite_body(liar, changed(liar, id=honest.id))
    apply_all()
    assert of() == {"g1b": 10}
    assert [outbox_id for outbox_id, _ in set_aside()] == [liar.id]
    assert store.depth() == store.Depth(pending=0, set_aside=1)


# What the database refuses, and when it is away


def test_a_message_that_the_database_refuses_is_set_aside_and_others_are_applied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = put(mint(1), mint(2), mint(3))

    def refuse(messages: Any, **how: Any) -> int:
        if any(message.id == rows[1].id for message in messages):
            raise DataError("out of range")
        return apply(messages, **how)

    monkeypatch.setattr(processor_module, "apply", refuse)
    one = apply_all()
    assert of() == {"g1a": 20}
    assert set_aside() == [(rows[1].id, "the database refuses it: out of range")]
    assert store.depth() == store.Depth(pending=0, set_aside=1)
    assert (one.messages, one.transfers) == (2, 2)
    expect_conserved()


@pytest.mark.parametrize("error", [OperationalError("deadlock detected"), ProgrammingError("no such table")], ids=repr)
def test_an_error_that_is_not_the_messages_fault_sets_nothing_aside_and_counts_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = put(mint(1))

    def fail(messages: Any, **how: Any) -> int:
        raise error

    monkeypatch.setattr(processor_module, "apply", fail)
    one = processor(Handed(row.body))
    with pytest.raises(type(error)):
        one.process_batch(0)
    assert set_aside() == []
    assert store.depth().pending == 1
    assert (one.messages, one.transfers) == (0, 0)


def test_what_is_rolled_back_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = put(mint(1))

    def fail(ids: Any) -> None:
        raise OperationalError("connection lost")

    monkeypatch.setattr(store, "mark_applied", fail)
    one = processor(Handed(row.body))
    with pytest.raises(OperationalError):
        one.process_batch(0)
    assert (one.messages, one.transfers) == (0, 0)
    assert not Transfer.objects.exists()
    assert not Balance.objects.exists()


@pytest.mark.parametrize("error", AWAY, ids=repr)
def test_a_queue_or_database_that_is_away_is_waited_for_and_said_once(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(processor_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr("balances.processor.renew", lambda: None)  # the test's own connection
    put(mint(1))
    queue = PostgresQueue()
    one = processor(queue)
    troubles = [error] * 3
    process_batch = one.process_batch

    def sometimes(wait_seconds: float) -> int:
        if troubles:
            raise troubles.pop()
        return process_batch(0)

    monkeypatch.setattr(one, "process_batch", sometimes)
    with caplog.at_level(logging.INFO, "balances.processor"):
        one.run(until_applied=True)
    queue.close()
    assert of() == {"g1a": 10}
    assert caplog.text.count("Processor waits") == 1
    assert caplog.text.count("Processor goes on") == 1


def test_a_stop_finishes_the_batch_in_hand_and_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    put_messages(25)
    queue = PostgresQueue()
    one = processor(queue)

    def stop_within(messages: Any, **how: Any) -> int:
        one.stop.set()
        return apply(messages, **how)

    monkeypatch.setattr(processor_module, "apply", stop_within)
    one.run()
    queue.close()
    assert one.messages == 10
    assert store.depth().pending == 15
    assert of() == {"g1a": 10}


def test_until_applied_ends_when_nothing_is_left_but_what_was_set_aside() -> None:
    rows = put(mint(1), mint(2))
    rewrite_body(rows[0], "garbage")
    queue = PostgresQueue()
    processor(queue).run(until_applied=True)
    queue.close()
    assert store.depth() == store.Depth(pending=0, set_aside=1)


@pytest.mark.django_db(transaction=True)
def test_messages_applied_long_ago_are_pruned_while_it_runs() -> None:
    put_messages(2)
    old, young = OutboxMessage.objects.order_by("id").values_list("id", flat=True)
    store.mark_applied([old, young])
    OutboxMessage.objects.filter(id=old).update(applied_at="2020-01-01T00:00:00Z")
    with closing(PostgresQueue()) as queue:
        Processor(queue, lambda: CHAIN, threading.Event(), keep_hours=1).run(until_applied=True)
    assert list(OutboxMessage.objects.values_list("id", flat=True)) == [young]


def test_what_a_correction_has_written_before_its_message_was_applied_counts_once() -> None:
    (row,) = put([*mint(1), *mint(2)])
    with transaction.atomic():
        apply([decode(row.body, CHAIN)])  # as `reparse` does for heights whose message waits
    put(mint(3))
    one = apply_all()
    assert (one.messages, of()) == (2, {"g1a": 30})
    assert not SetAsideMessage.objects.exists()
    expect_conserved()
