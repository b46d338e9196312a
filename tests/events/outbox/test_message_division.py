"""Dividing a message that is too large: every row once, whatever happens to its copies meanwhile."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from balances import processor as processor_module
from balances.ledger.apply import apply
from balances.processor import Processor
from events import ledger_lock
from events.models import OutboxMessage
from events.outbox import publishing, store
from events.outbox.message import Packer, decode
from events.outbox.message_division import divided
from events.outbox.publishing import NotDivisible
from events.outbox.store import Row as OutboxRow
from events.queues.base import Delivery
from events.queues.sqs.messages import message_bytes
from tests.balances.ledger_factories import apply_all, expect_conserved, of, put
from tests.events.factories import CHAIN, mints
from tests.polling import in_thread, until

LIMIT = 20_480


def put_large() -> OutboxRow:
    (row,) = put(mints(700))
    assert len(row.body) > 2 * LIMIT
    return OutboxRow(row.id, row.body)


rows_of_a_message = st.lists(
    st.tuples(
        st.integers(0, 50), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.booleans(),
        st.integers(0, 9), st.integers(1, 2**64 - 1),
    ),
    min_size=1, max_size=60, unique_by=lambda row: row[:3],
)  # fmt: skip


@given(rows_of_a_message, st.integers(1_024, 3_000))
def test_dividing_a_message_keeps_every_row_and_its_order(rows: list[Any], max_bytes: int) -> None:
    packer = Packer(CHAIN, 1_000_000)
    for height, tx_index, event_index, token, announced, account, amount in sorted(rows):
        if announced:
            packer.add_announcement(height, tx_index, event_index, f"gno.land/r/{token}", "name", "SYM", 6)
        else:
            sides = ("", f"g1{account}", amount) if account % 2 else (f"g1{account}", "", amount)
            packer.add_transfer(height, tx_index, event_index, f"gno.land/r/{token}", token % 2 == 0, *sides)
    (whole,) = (decode(packed.body(1), CHAIN) for packed in packer.messages())
    bodies = [packed.body(number) for number, packed in enumerate(divided(whole, max_bytes), 1)]
    assert max(message_bytes(body, 2**63 - 1) for body in bodies) <= max_bytes
    pieces = [decode(body, CHAIN) for body in bodies]
    assert [row for piece in pieces for row in transfers(piece)] == transfers(whole)
    assert [row for piece in pieces for row in announcements(piece)] == announcements(whole)
    assert pieces[0].first_height == whole.first_height
    assert pieces[-1].last_height == whole.last_height
    assert all(before.last_height <= after.first_height for before, after in pairwise(pieces))


def transfers(message: Any) -> list[Any]:
    accounts = [*message.accounts, ""]
    return [(*row[:3], message.tokens[row[3]], accounts[row[4]], accounts[row[5]], row[6]) for row in message.transfers]


def announcements(message: Any) -> list[Any]:
    return [(*row[:3], message.tokens[row[3]][0], *row[4:]) for row in message.announcements]


# In the outbox


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_large_message_is_replaced_by_smaller_ones_with_its_heights_and_its_age() -> None:
    row = put_large()
    OutboxMessage.objects.update(created_at=timezone.now() - timedelta(hours=1))
    large = OutboxMessage.objects.get()
    pieces = publishing.pack_again(row, LIMIT)
    rows = list(OutboxMessage.objects.order_by("id"))
    assert len(rows) == pieces > 2
    assert max(message_bytes(row.body, row.id) for row in rows) <= LIMIT
    assert (rows[0].first_height, rows[-1].last_height) == (large.first_height, large.last_height)
    assert sum(row.transfers for row in rows) == large.transfers
    assert {row.created_at for row in rows} == {large.created_at}, "they wait as long as it has waited"
    apply_all()
    assert len(of()) == 700
    expect_conserved()


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_what_was_applied_or_set_aside_meanwhile_is_not_packed_again() -> None:
    first, second = put(mints(700), mints(700, 1000))
    store.mark_applied([first.id])
    store.set_aside("q", second.id, second.body, "why")
    for row in (first, second):
        assert publishing.pack_again(OutboxRow(row.id, row.body), LIMIT) == 0
    assert OutboxMessage.objects.count() == 2


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("body", ["garbage", '{"version":2,"id":1,"chain_id":"c"}'])
def test_what_cannot_be_read_cannot_be_packed_again(body: str) -> None:
    with pytest.raises(NotDivisible):
        publishing.pack_again(OutboxRow(1, body), LIMIT)


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_message_is_not_packed_again_while_a_correction_looks_at_it() -> None:
    large = put_large()
    done: list[int] = []
    with transaction.atomic():
        ledger_lock.close(5)
        thread = in_thread(lambda: done.append(publishing.pack_again(large, LIMIT)))
        until(waits_for_a_lock, "packing again waiting at the gate")
        assert not done
        store.mark_applied([large.id])  # the correction has settled it
    thread.join(20)
    assert done == [0]
    assert OutboxMessage.objects.get().id == large.id


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@dataclass
class Copies:
    """A queue that holds copies of one message for ever."""

    row: OutboxRow

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        with transaction.atomic(durable=True):
            ledger_lock.pass_through()
            yield [Delivery("copy", self.row.body, label=self.row.id)]

    def leave(self, delivery: Delivery) -> None:
        pytest.fail("it was not understood")

    def close(self) -> None:
        pass


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_message_packed_again_while_a_processor_applies_it_counts_once(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, pieces = put_large(), list[int]()

    def pack() -> None:
        in_thread(lambda: pieces.append(publishing.pack_again(row, LIMIT))).join(20)

    def applying(messages: Any, **how: Any) -> int:
        if when == "before" and not pieces:
            pack()
        transfers = apply(messages, **how)
        if when == "after" and not pieces:
            pack()
        return transfers

    monkeypatch.setattr(processor_module, "apply", applying)

    processor = Processor(Copies(row), lambda: CHAIN, threading.Event())
    processor.process_batch(0)
    assert pieces[0] > 2
    assert len(of()) == 700, "the copy is applied, whether its row is there or not"
    apply_all()
    assert len(of()) == 700
    assert not OutboxMessage.objects.filter(applied_at=None).exists()
    expect_conserved()
    processor.process_batch(0)  # and the copy comes again
    assert len(of()) == 700
