"""What is too large for a limit of the server is tried smaller: messages, one message, a step of checkpoints."""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection

from balances import processor as processors
from balances.checkpoint_worker import Walker
from balances.history import checkpoints
from balances.ledger.apply import apply, halves
from balances.models import CheckpointWalk, Transfer
from events import ledger_lock
from events.models import SetAsideMessage
from events.outbox import store
from events.outbox.message import Message, decode
from events.queues.postgres import PostgresQueue
from postgres.errors import Reaction, reaction
from tests.balances.concurrent_worker import paused_worker
from tests.balances.ledger_factories import apply_all, expect_conserved, of, processor, put, start_chain
from tests.events.factories import CHAIN, Row
from tests.polling import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db]


@pytest.fixture(autouse=True)
def chain() -> None:
    start_chain()


def rows(height: int, number: int) -> list[Row]:
    return [
        Row(height, 0, index, "" if index % 3 == 0 else f"g1{index % 5}", f"g1{height}{index % 7}", 1)
        for index in range(number)
    ]


@contextmanager
def at_most(transfers: int) -> Iterator[None]:
    """No statement may insert more transfers at once: the server ends it, as it does by `statement_timeout`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION limited() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN IF (SELECT count(*) FROM added) > {transfers} THEN"
            " RAISE 'canceling statement' USING ERRCODE = '57014'; END IF; RETURN NULL; END $$;"
            " CREATE TRIGGER limited AFTER INSERT ON transfers REFERENCING NEW TABLE AS added"
            " FOR EACH STATEMENT EXECUTE FUNCTION limited()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER limited ON transfers; DROP FUNCTION limited()")


def test_messages_that_are_too_many_together_are_applied_in_parts_and_fewer_at_once_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put(*(rows(height, 10) for height in range(1, 21)))
    sizes: list[int] = []

    def watch(messages: Collection[Message], **how: Any) -> int:
        sizes.append(len(messages))
        return apply(messages, **how)

    monkeypatch.setattr(processors, "apply", watch)
    with at_most(30):
        one = apply_all()
    assert (one.messages, one.transfers) == (20, 200)
    assert sizes[:3] == [10, 5, 2]
    assert sizes.count(10) == 1, "the second batch begins with as many as went before"
    assert not SetAsideMessage.objects.exists()
    expect_conserved()


def test_a_message_that_is_too_large_alone_is_applied_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "LEAST_TRANSFERS", 5)
    put(rows(1, 100), rows(2, 3))
    with at_most(30):
        one = apply_all()
    assert (one.messages, one.transfers) == (2, 103)
    assert Transfer.objects.count() == 103
    held = of()
    expect_conserved()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE transfers, balances, token_totals")
        cursor.execute("UPDATE outbox SET applied_at = NULL")
    apply_all()
    assert of() == held, "as when it is applied as a whole"


def test_a_message_of_which_no_part_is_small_enough_is_waited_for_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "LEAST_TRANSFERS", 5)
    put(rows(1, 20))
    with at_most(0), closing(PostgresQueue()) as queue, pytest.raises(OperationalError) as refused:
        processor(queue).process_batch(0)
    assert reaction(refused.value) is Reaction.SMALLER
    assert store.depth() == store.Depth(pending=1, set_aside=0)
    assert not Transfer.objects.exists()
    assert apply_all().transfers == 20
    expect_conserved()


def test_a_message_too_large_in_one_part_and_refused_in_another_is_set_aside_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processors, "LEAST_TRANSFERS", 5)
    put(rows(1, 40))
    with at_most(30), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE transfers ADD CONSTRAINT odd CHECK (event_index <> 39)")
        try:
            apply_all()
        finally:
            cursor.execute("ALTER TABLE transfers DROP CONSTRAINT odd")
    assert store.depth() == store.Depth(pending=0, set_aside=1)
    assert not Transfer.objects.exists(), "its first half is not left behind"
    expect_conserved()


def test_halves_are_the_message() -> None:
    (row,) = put(rows(1, 11))
    whole = decode(row.body, CHAIN)
    parts = halves(whole)

    def spelled(message: Message) -> list[tuple[Any, ...]]:
        names = [*message.accounts, ""]
        return [(*place, message.tokens[token], names[a], names[b], n) for *place, token, a, b, n in message.transfers]

    assert [row for part in parts for row in spelled(part)] == spelled(whole)
    assert all(len(part.accounts) <= len(whole.accounts) for part in parts)
    assert [row for part in parts for row in part.announcements] == whole.announcements


# Checkpoints


def test_checkpoints_that_are_too_many_at_once_are_made_in_smaller_steps(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("balances.checkpoint_worker.LEAST_BATCH", 10)
    monkeypatch.setattr(checkpoints, "BATCH", 1_000)
    put(*(rows(height, 10) for height in range(1, 31)))
    apply_all()
    count = checkpoints._count

    def limited(height: int, claimed: int) -> None:
        if Transfer.objects.filter(block_height__range=(height + 1, claimed)).count() > 100:
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)")
        count(height, claimed)

    monkeypatch.setattr(checkpoints, "_count", limited)
    with caplog.at_level(logging.WARNING):
        Walker(threading.Event()).finish()
    assert CheckpointWalk.objects.get().height == 1_000_000
    assert "Checkpoints are made in smaller steps transfers=500" in caplog.text


def test_a_frozen_checkpoint_pass_stops_no_other_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_lock, "IDLE_SECONDS", 0.2)
    put(*(rows(height, 10) for height in range(1, 4)))
    apply_all()
    lost: list[bool] = []

    def work(pause: Any) -> None:
        try:
            with checkpoints._alone() as mine:
                assert mine
                pause()
        except Exception:
            lost.append(True)

    with paused_worker(work):
        until(lambda: checkpoints.step() or CheckpointWalk.objects.exists(), "a step of another one")
        Walker(threading.Event()).finish()
        until(lambda: CheckpointWalk.objects.get().height == 1_000_000 or checkpoints.step(), "all steps")
    assert lost
