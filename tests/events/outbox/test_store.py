"""The outbox's own promises: what is claimed, what stands behind a message, what is pruned."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from events.models import OutboxMessage, SetAsideMessage
from events.outbox import publishing, store
from events.outbox.store import Standing
from tests.events.factories import put_messages

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def put(count: int) -> list[OutboxMessage]:
    before = set(OutboxMessage.objects.values_list("id", flat=True))
    put_messages(count)
    return [row for row in OutboxMessage.objects.order_by("id") if row.id not in before]


def leased(max_bytes: int, republish_after: float) -> list[int]:
    return [row.id for row in publishing.lease(10, max_bytes, republish_after, 60).rows]


def lowest_pending() -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(store.PULSE)
        lowest: int | None = cursor.fetchone()[0]
        return lowest


def test_messages_that_are_rolled_back_were_never_there() -> None:
    with transaction.atomic():
        put(2)
        transaction.set_rollback(True)
    assert store.depth().pending == 0
    assert lowest_pending() is None


def test_claims_are_oldest_first_and_leave_out_what_is_applied_or_set_aside() -> None:
    rows = put(5)
    store.mark_applied([rows[0].id])
    store.set_aside("q", rows[2].id, "", "")
    assert [row.id for row in store.claim(2)] == [rows[1].id, rows[3].id]


def test_a_message_set_aside_is_pending_no_more_and_still_holds_the_indexed_height() -> None:
    (row,) = put(1)
    store.set_aside("q", row.id, row.body, "why")
    assert store.depth() == store.Depth(pending=0, set_aside=1)
    assert lowest_pending() == 1


def test_setting_aside_again_keeps_the_newest_reason() -> None:
    for reason in ("old", "new"):
        store.set_aside("q", None, "body", reason)
    assert SetAsideMessage.objects.get().reason == "new"


def test_what_is_applied_is_never_set_aside() -> None:
    (row,) = put(1)
    store.mark_applied([row.id])
    store.set_aside("q", row.id, row.body, "late copy")
    assert store.depth() == store.Depth(0, 0)


def test_redrive_gives_what_was_set_aside_to_the_processors_again() -> None:
    rows = put(3)
    publishing.mark_published([row.id for row in rows])
    store.set_aside("q", rows[1].id, "", "why")
    assert store.redrive() == 1
    assert store.depth() == store.Depth(pending=3, set_aside=0)
    assert leased(10**6, 3600) == [rows[1].id]


def test_marking_applied_twice_keeps_the_first_time() -> None:
    (row,) = put(1)
    store.mark_applied([row.id])
    long_ago = timezone.now() - timedelta(days=1)
    OutboxMessage.objects.update(applied_at=long_ago)
    store.mark_applied([row.id])
    assert OutboxMessage.objects.get().applied_at == long_ago


def test_prune_deletes_what_was_applied_long_ago_and_nothing_else() -> None:
    rows = put(4)
    long_ago = timezone.now() - timedelta(hours=25)
    OutboxMessage.objects.update(created_at=long_ago, published_at=long_ago)
    store.set_aside("q", rows[0].id, "", "why")
    store.mark_applied([rows[1].id, rows[2].id])
    OutboxMessage.objects.filter(id=rows[1].id).update(applied_at=long_ago)
    assert store.prune(24) == 1
    assert sorted(OutboxMessage.objects.values_list("id", flat=True)) == [rows[0].id, rows[2].id, rows[3].id]


def test_a_message_stands_by_its_words_and_not_by_its_number() -> None:
    pending, applied, other = put(3)
    store.mark_applied([applied.id])
    asked = [(pending.id, pending.body), (applied.id, applied.body), (other.id, pending.body), (10**9, other.body)]
    assert store.standings(asked) == [Standing.PENDING, Standing.APPLIED, Standing.DIFFERENT, Standing.ABSENT]
    assert store.standings([]) == []


def test_one_number_claimed_twice_is_answered_for_each() -> None:
    (row,) = put(1)
    assert store.standings([(row.id, "☃"), (row.id, row.body)]) == [Standing.DIFFERENT, Standing.PENDING]


def test_leases_keep_a_batch_under_its_bytes_but_always_give_one() -> None:
    rows = put(4)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox SET body = repeat('x', 400)")
    assert leased(1_000, 3600) == [rows[0].id, rows[1].id]
    assert leased(100, 3600) == [rows[2].id]


@pytest.mark.parametrize(("publishes", "seconds", "again"), [
    (1, 9, False), (1, 11, True), (2, 11, False), (2, 21, True), (5, 159, False), (5, 161, True), (50, 161, True),
])  # fmt: skip
def test_what_was_published_and_not_applied_is_leased_again_after_a_wait_that_doubles(
    publishes: int, seconds: int, again: bool
) -> None:
    put(1)
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(seconds=seconds), publishes=publishes)
    assert bool(leased(10**6, 10)) == again
    assert publishing.unpublished() == 0
