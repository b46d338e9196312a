"""The relay: only what is committed, each until the queue has it, and again when it was lost there."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from events.models import OutboxMessage
from events.outbox import publishing, store
from events.outbox.message_limit import MessageLimit
from events.queues.base import QueueUnavailable
from events.queues.sqs import relay
from events.queues.sqs.messages import MAX_BATCH_BYTES
from events.queues.sqs.queue import SqsQueue
from events.queues.sqs.relay import Relay
from tests.events.factories import put_messages
from tests.polling import in_thread, until

pytestmark = [pytest.mark.db, pytest.mark.django_db]


@dataclass
class Sender:
    """Stands in for the sending end of SQS: refuses ids, and is away `away` times."""

    refuse: set[int] = field(default_factory=set)
    away: int = 0
    batches: list[list[tuple[int, str]]] = field(default_factory=list)
    limit: MessageLimit = field(default_factory=lambda: MessageLimit(1_048_576))

    def read_limit(self) -> None:
        """What it takes is known."""

    def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
        if self.away:
            self.away -= 1
            raise QueueUnavailable("SQS: cannot send to q: connection refused")
        self.batches.append(list(messages))
        return [number for number, _ in messages if number not in self.refuse]

    @property
    def sent(self) -> list[int]:
        return [number for batch in self.batches for number, _ in batch if number not in self.refuse]


def relay_to(sender: Sender, republish_after: float = 3600) -> Relay:
    return Relay(cast(SqsQueue, sender), republish_after, threading.Event())


def publish_all(one: Relay) -> None:
    for _ in range(100):
        if not one.publish_once():
            return
    pytest.fail("the same messages are offered again and again")


def everything() -> list[int]:
    return list(OutboxMessage.objects.order_by("id").values_list("id", flat=True))


def test_everything_is_published_once_in_batches_of_ten() -> None:
    put_messages(23)
    sender = Sender()
    publish_all(relay_to(sender))
    assert sender.sent == everything()
    assert [len(batch) for batch in sender.batches] == [10, 10, 3]
    assert set(OutboxMessage.objects.values_list("publishes", flat=True)) == {1}


def test_what_the_queue_refused_is_tried_again_and_only_that() -> None:
    put_messages(10)
    ids = everything()
    sender = Sender(refuse={ids[3], ids[7]})
    publish_all(relay_to(sender))
    assert publishing.unpublished() == 2
    sender.refuse, sender.batches = set(), []
    publish_all(relay_to(sender))
    assert sender.sent == [ids[3], ids[7]]


def test_messages_that_the_queue_always_refuses_do_not_hold_up_the_others() -> None:
    put_messages(35)
    ids = everything()
    sender = Sender(refuse=set(ids[:20]))
    publish_all(relay_to(sender))
    assert sender.sent == ids[20:]


def test_a_queue_that_is_away_leaves_everything_to_be_published() -> None:
    put_messages(2)
    sender = Sender(away=1)
    one = relay_to(sender)
    with pytest.raises(QueueUnavailable):
        one.publish_once()
    assert publishing.unpublished() == 2
    publish_all(one)
    assert sender.sent == everything()


def test_what_is_not_applied_in_time_is_published_again_and_what_is_applied_never() -> None:
    put_messages(3)
    ids = everything()
    sender = Sender()
    one = relay_to(sender, republish_after=10)
    publish_all(one)
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(seconds=11))
    store.mark_applied([ids[1]])
    sender.batches = []
    publish_all(one)
    assert sender.sent == [ids[0], ids[2]]
    sender.batches = []
    publish_all(one)
    assert sender.sent == []


def test_repetitions_starve_nobody_however_soon_they_are_due() -> None:
    put_messages(25)
    sender = Sender()
    one = relay_to(sender, republish_after=1)
    for _ in range(6):
        one.publish_once()
        OutboxMessage.objects.update(published_at=F("published_at") - timedelta(hours=1))  # all of them are due at once
    assert sender.sent[:25] == everything(), "what was never published comes first"
    assert set(Counter(sender.sent).values()) == {2, 3}, "then what was published longest ago"


def test_a_batch_never_exceeds_what_sqs_takes_at_once() -> None:
    put_messages(7)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox SET body = repeat('x', 400000)")
    sender = Sender()
    publish_all(relay_to(sender))
    assert [len(batch) for batch in sender.batches] == [2, 2, 2, 1]
    assert max(sum(len(body) for _, body in batch) for batch in sender.batches) <= MAX_BATCH_BYTES


# Running, beside other processes


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "LOOK_SECONDS", 0.05)


@pytest.mark.django_db(transaction=True)
def test_only_what_is_committed_is_published() -> None:
    sender = Sender()
    one = relay_to(sender)
    written, commit = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            put_messages(2)
            written.set()
            assert commit.wait(20)

    writer = in_thread(write)
    assert written.wait(20)
    try:
        assert one.publish_once() == 0
    finally:
        commit.set()
        writer.join()
    assert one.publish_once() == 2


@pytest.mark.django_db(transaction=True)
def test_two_relays_never_publish_the_same_message() -> None:
    put_messages(60)
    gate = threading.Barrier(2)
    senders = [Sender(), Sender()]

    def run(sender: Sender) -> Callable[[], None]:
        def work() -> None:
            one = relay_to(sender)
            gate.wait(20)
            while publishing.unpublished():
                one.publish_once()

        return work

    threads = [in_thread(run(sender)) for sender in senders]
    for thread in threads:
        thread.join()
    assert sorted(senders[0].sent + senders[1].sent) == everything()


@pytest.mark.django_db(transaction=True)
def test_two_relays_hold_different_messages_while_the_queue_takes_them() -> None:
    put_messages(15)
    sending, go_on = threading.Event(), threading.Event()

    class Slow(Sender):
        def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
            sending.set()
            assert go_on.wait(20)
            return super().send(messages)

    slow, other = Slow(), Sender()

    def work() -> None:
        relay_to(slow).publish_once()

    thread = in_thread(work)
    assert sending.wait(20)
    try:
        publish_all(relay_to(other))
    finally:
        go_on.set()
        thread.join()
    assert (len(slow.sent), len(other.sent)) == (10, 5)
    assert sorted(slow.sent + other.sent) == everything()


@pytest.mark.django_db(transaction=True)
def test_a_message_is_published_as_soon_as_it_is_committed() -> None:
    sender = Sender()
    one = relay_to(sender)
    thread = in_thread(one.run)
    try:
        put_messages(1)
        until(lambda: sender.sent, "publishing")
    finally:
        one.stop.set()
        thread.join(20)
    assert not thread.is_alive()


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "trouble", [QueueUnavailable("away"), OperationalError("gone"), InterfaceError("closed")], ids=repr
)
def test_trouble_is_waited_out_said_once_and_then_it_goes_on(
    trouble: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put_messages(3)
    sender = Sender()
    one = relay_to(sender)
    troubles = [trouble] * 3
    publish = one.publish_once

    def sometimes() -> int:
        if troubles:
            raise troubles.pop()
        return publish()

    monkeypatch.setattr(one, "publish_once", sometimes)
    with caplog.at_level(logging.INFO, "events.queues.sqs.relay"):
        one.finish()
        thread = in_thread(one.run)
        thread.join(20)
    assert not thread.is_alive()
    assert sender.sent == everything()
    assert caplog.text.count("Relay waits") == 1
    assert caplog.text.count("Relay goes on") == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_finishing_publishes_everything_that_is_left_and_then_ends() -> None:
    put_messages(35)
    sender = Sender(away=2)
    one = relay_to(sender)
    one.finish()
    one.run()
    assert sender.sent == everything()
    assert publishing.unpublished() == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_finishing_waits_for_what_the_queue_refuses_at_first() -> None:
    put_messages(3)
    ids = everything()

    class Reluctant(Sender):
        def send(self, messages: Sequence[tuple[int, str]]) -> list[int]:
            self.refuse = {ids[1]} if len(self.batches) < 3 else set()
            return super().send(messages)

    one = relay_to(Reluctant())
    one.finish()
    one.run()
    assert publishing.unpublished() == 0


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_finishing_gives_up_when_the_queue_takes_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FINISH_SECONDS", 0.2)
    put_messages(1)
    one = relay_to(Sender(away=10**9))
    one.finish()
    one.run()
    assert publishing.unpublished() == 1


@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_a_stop_ends_a_relay_at_once_even_while_it_finishes_and_the_queue_is_away() -> None:
    put_messages(1)
    sender = Sender(away=10**9)
    one = relay_to(sender)
    one.finish()
    thread = in_thread(one.run)
    until(lambda: sender.away < 10**9, "a try")
    one.stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert publishing.unpublished() == 1


@pytest.mark.sqs
@pytest.mark.usefixtures("quick")
@pytest.mark.django_db(transaction=True)
def test_sqs_away_is_waited_out(sqs_queue: SqsQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    put_messages(12)
    with closing(sqs_queue):
        url = sqs_queue.url()
        monkeypatch.setattr(sqs_queue, "_url", url + "-gone")  # what a deleted queue answers, then the right one
        one = Relay(sqs_queue, 3600, threading.Event())
        one.finish()
        one.run()
        assert publishing.unpublished() == 0
        with sqs_queue.batch(1) as deliveries:
            assert deliveries
