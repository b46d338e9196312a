"""Which row a queue message is the copy of: what its body names, or, where it names none, what its label proves."""

import pytest

from events.models import OutboxMessage
from events.outbox import store
from events.outbox.store import Standing
from events.queues.base import Delivery
from events.queues.verification import identify
from tests.events.factories import CHAIN, put_messages

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@pytest.fixture
def row() -> OutboxMessage:
    put_messages(1)
    return OutboxMessage.objects.get()


def of(*deliveries: Delivery) -> list[tuple[Standing | None, int | None]]:
    return [(copy.standing, copy.row) for copy in identify(deliveries, CHAIN).values()]


def test_a_body_that_names_its_row_needs_no_label(row: OutboxMessage) -> None:
    assert of(Delivery("1", row.body), Delivery("2", row.body, label=row.id + 1)) == [(Standing.PENDING, row.id)] * 2
    store.mark_applied([row.id])
    assert of(Delivery("1", row.body, label=row.id + 1)) == [(Standing.APPLIED, row.id)]
    row.delete()
    assert of(Delivery("1", row.body)) == [(Standing.ABSENT, None)]


def test_a_label_counts_where_the_row_waits_and_has_the_same_body(row: OutboxMessage) -> None:
    OutboxMessage.objects.update(body="unreadable")
    labelled = Delivery("1", "unreadable", label=row.id)
    assert of(labelled) == [(Standing.PENDING, row.id)]
    assert of(Delivery("1", "unreadable")) == [(None, None)]
    forged = Delivery("2", "other", label=row.id), Delivery("3", "unreadable", label=row.id + 1)
    assert of(*forged) == [(None, None)] * 2
    store.mark_applied([row.id])
    assert of(labelled) == [(None, None)], "nothing is passed over on the word of a label"


def test_a_row_that_was_read_itself_is_the_row_whatever_it_says(row: OutboxMessage) -> None:
    own, other = Delivery("1", row.body, outbox_id=row.id), Delivery("2", row.body, outbox_id=row.id + 1)
    assert of(own, other) == [(Standing.PENDING, row.id), (Standing.DIFFERENT, row.id + 1)]
    assert of(Delivery("3", "unreadable", outbox_id=row.id)) == [(Standing.DIFFERENT, row.id)]
