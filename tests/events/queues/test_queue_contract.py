"""The contract of a queue, held by both back ends."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import pytest

from events.models import OutboxMessage, SetAsideMessage
from events.outbox import store
from events.outbox.message import decode
from events.queues.base import BATCH, Delivery, Queue
from events.queues.postgres import PostgresQueue
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from tests.events.factories import CHAIN, put_messages
from tests.polling import in_thread, until

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


@dataclass
class BackEnd:
    """One back end under test: `queue` makes a consumer's end of it, `publish` takes the outbox to it."""

    queue: Callable[[], Queue]
    publish: Callable[[], None]

    def put(self, count: int, first_height: int = 1) -> None:
        put_messages(count, first_height=first_height)
        self.publish()


def sqs_back_end(settings: SqsSettings) -> Iterator[BackEnd]:
    with closing(SqsQueue(settings)) as sender:
        relay = Relay(sender, republish_after=3600, stop=threading.Event())

        def publish() -> None:
            while relay.publish_once():
                pass

        yield BackEnd(partial(SqsQueue, settings), publish)


@pytest.fixture(params=["postgres", pytest.param("sqs", marks=pytest.mark.sqs)])
def back_end(request: pytest.FixtureRequest) -> Iterator[BackEnd]:
    if request.param == "postgres":
        yield BackEnd(PostgresQueue, lambda: None)
    else:
        # Short, so that what is not acknowledged is seen again within the test.
        yield from sqs_back_end(replace(request.getfixturevalue("sqs_settings"), visibility_seconds=1))


@pytest.fixture
def queue(back_end: BackEnd) -> Iterator[Queue]:
    with closing(back_end.queue()) as queue:
        yield queue


def number(delivery: Delivery) -> int:
    return decode(delivery.body, CHAIN).id


def take(queue: Queue, wait_seconds: float = 1) -> list[int]:
    """Receive one batch and mark its messages applied, as a processor does; returns their numbers."""
    with queue.batch(wait_seconds) as deliveries:
        numbers = [number(delivery) for delivery in deliveries]
        store.mark_applied(numbers)
    return numbers


def take_all(queue: Queue, count: int) -> list[int]:
    return [one for batch in take_batches(queue, count) for one in batch]


def take_batches(queue: Queue, count: int, wait_seconds: float = 1) -> list[list[int]]:
    batches: list[list[int]] = []

    def enough() -> bool:
        batches.append(take(queue, wait_seconds))
        return sum(map(len, batches)) >= count

    until(enough, f"{count} messages")
    return batches


def test_a_batch_holds_ten_messages_at_most_and_all_arrive_once(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(25)
    batches = take_batches(queue, 25)
    assert max(map(len, batches)) <= BATCH
    everything = sorted(OutboxMessage.objects.values_list("id", flat=True))
    assert sorted(one for batch in batches for one in batch) == everything


def test_a_body_arrives_to_the_letter(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(1)
    with queue.batch(1) as deliveries:
        assert [delivery.body for delivery in deliveries] == [OutboxMessage.objects.get().body]
        assert deliveries[0].id


def test_an_empty_queue_gives_an_empty_batch_within_the_wait(queue: Queue) -> None:
    assert take(queue, 0) == []
    began = time.monotonic()
    assert take(queue, 1) == []
    assert time.monotonic() - began < 5


def test_what_the_block_writes_is_committed_and_its_messages_never_come_again(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(3)
    with queue.batch(1) as deliveries:
        store.set_aside("written-in-the-block", None, "", "")
        store.mark_applied([number(delivery) for delivery in deliveries])
    assert SetAsideMessage.objects.filter(queue_message_id="written-in-the-block").exists()
    # Longer than what is not acknowledged stays hidden.
    assert take(queue, 2) == []


def test_an_exception_undoes_what_the_block_wrote_and_its_messages_come_again(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(3)
    seen: list[int] = []

    def fail() -> None:
        with queue.batch(1) as deliveries:
            seen.extend(number(delivery) for delivery in deliveries)
            store.mark_applied(seen)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert seen
    assert store.depth().pending == 3
    assert sorted(take_all(queue, 3)) == sorted(OutboxMessage.objects.values_list("id", flat=True))


def test_two_consumers_never_hold_the_same_message_at_once(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(15)
    first: list[int] = []
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(back_end.queue()) as other, other.batch(1) as deliveries:
            first.extend(number(delivery) for delivery in deliveries)
            holding.set()
            release.wait(20)
            store.mark_applied(first)

    thread = in_thread(hold)
    try:
        assert holding.wait(20)
        second = take(queue, 0)
    finally:
        release.set()
        thread.join()
    assert first
    assert second
    assert not set(first) & set(second)


def test_a_waiting_consumer_gets_a_message_when_it_comes_not_when_the_wait_is_over(
    back_end: BackEnd, queue: Queue
) -> None:
    assert take(queue, 0) == []
    got: list[int] = []
    waiting = threading.Event()

    def wait() -> None:
        with closing(back_end.queue()) as other:
            take(other, 0)
            waiting.set()
            got.extend(take_batches(other, 1, wait_seconds=10)[-1])

    thread = in_thread(wait)
    assert waiting.wait(20)
    began = time.monotonic()
    back_end.put(1)
    thread.join()
    assert got
    assert time.monotonic() - began < 5


def test_a_closed_queue_can_be_used_again(back_end: BackEnd, queue: Queue) -> None:
    take(queue, 0)
    queue.close()
    back_end.put(1)
    assert len(take_all(queue, 1)) == 1


def test_messages_that_one_consumer_leaves_are_taken_by_others(back_end: BackEnd, queue: Queue) -> None:
    back_end.put(2)

    def die() -> None:
        with closing(back_end.queue()) as other, pytest.raises(SystemExit), other.batch(1):
            raise SystemExit

    in_thread(die).join()
    assert len(take_all(queue, 2)) == 2


def test_a_wait_on_postgres_is_never_longer_than_a_look_so_that_a_stop_is_noticed() -> None:
    with closing(PostgresQueue()) as queue:
        take(queue, 0)
        began = time.monotonic()
        assert take(queue, 600) == []
        assert time.monotonic() - began < 5
