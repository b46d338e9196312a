"""A queue that takes smaller messages than configured: what is too large for it is packed again, or waits alone."""

import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from balances.processor import Processor
from events.models import OutboxMessage
from events.outbox import publishing, store
from events.outbox.message import Packer
from events.outbox.message_limit import MessageLimit
from events.queues.sqs.messages import message_bytes
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from indexer_project import wiring
from tests.balances.ledger_factories import expect_conserved, of, put
from tests.events.factories import CHAIN, TOKEN, mints, packed
from tests.events.queues.sqs.sqs_proxy import SqsProxy, error
from tests.polling import until

pytestmark = [pytest.mark.sqs, pytest.mark.db, pytest.mark.django_db(transaction=True)]

LIMIT = 20_480
"""Of the queue, less than SQS_MAX_MESSAGE_BYTES."""


@pytest.fixture
def queue(sqs_settings: SqsSettings) -> Iterator[SqsQueue]:
    with closing(SqsQueue(replace(sqs_settings, max_message_bytes=262_144))) as made:
        set_limit(made, LIMIT)
        yield made


def set_limit(queue: SqsQueue, size: int) -> None:
    """Change the queue's own limit, as an administrator does."""
    queue.connection.client().set_queue_attributes(QueueUrl=queue.url(), Attributes={"MaximumMessageSize": str(size)})


def relay_to(queue: SqsQueue, republish_after: float = 3600) -> Relay:
    return Relay(queue, republish_after, threading.Event())


def publish_all(relay: Relay) -> None:
    for _ in range(100):
        if not relay.publish_once():
            return
    pytest.fail("the same messages are offered again and again")


def process(queue: SqsQueue) -> None:
    """Apply whatever is in the queue."""
    processor = Processor(queue, lambda: CHAIN, threading.Event())
    until(lambda: not processor.process_batch(0) and queue.depth() == 0, "an empty queue")


def too_large(row: OutboxMessage) -> bool:
    return message_bytes(row.body, row.id) > LIMIT


def test_messages_written_for_a_larger_queue_are_packed_again_and_applied_once(
    queue: SqsQueue, caplog: pytest.LogCaptureFixture
) -> None:
    put(mints(700), mints(3, 1_000), mints(700, 2_000))
    with caplog.at_level(logging.INFO):
        publish_all(relay_to(queue))
    assert "takes less than is configured" in caplog.text
    assert "SQS_MAX_MESSAGE_BYTES=262144 queue_limit=20480" in caplog.text
    assert caplog.text.count("Message packed again") == 2
    assert "SQS refused" not in caplog.text
    process(queue)
    assert of() == {row.recipient: 1 for first in (1, 2_000) for row in mints(700, first)} | {
        row.recipient: 1 for row in mints(3, 1_000)
    }
    assert publishing.unpublished() == 0
    assert not OutboxMessage.objects.filter(applied_at=None).exists()
    expect_conserved()


def test_a_limit_that_is_lowered_while_the_relay_runs_is_learned_from_the_refusal(
    queue: SqsQueue, caplog: pytest.LogCaptureFixture
) -> None:
    set_limit(queue, 262_144)
    relay = relay_to(queue)
    put(mints(3, 1_000))
    publish_all(relay)
    assert queue.limit.bytes == 262_144
    set_limit(queue, LIMIT)
    put(mints(700), mints(3, 3_000))
    publish_all(relay)
    assert queue.limit.bytes == LIMIT
    assert caplog.text.count("SQS refused a message") == 1
    assert publishing.unpublished() == 0
    process(queue)
    assert len(of()) == 706
    expect_conserved()


def test_a_copy_that_was_published_before_its_message_was_packed_again_changes_nothing(queue: SqsQueue) -> None:
    set_limit(queue, 262_144)
    put(mints(700))
    publish_all(relay_to(queue))
    OutboxMessage.objects.update(published_at="2026-01-01T00:00:00Z")
    set_limit(queue, LIMIT)
    publish_all(relay_to(queue))
    assert OutboxMessage.objects.count() > 2
    process(queue)
    assert len(of()) == 700
    assert not OutboxMessage.objects.filter(applied_at=None).exists()
    expect_conserved()


@pytest.mark.parametrize(
    "reason", ["Message must be shorter than 20480 bytes.", "Message too long"], ids=["stated", "not"]
)
def test_without_the_right_to_read_attributes_the_limit_is_learned_from_refusals(
    reason: str, queue: SqsQueue, sqs_endpoint: str, sqs_settings: SqsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interfere(operation: str, body: bytes) -> Any:
        if operation == "GetQueueAttributes":
            return error("AccessDeniedException", "not authorized to perform: sqs:getqueueattributes")
        if operation == "SendMessageBatch" and len(body) > 2 * LIMIT:
            return error("InvalidParameterValue", f"One or more parameters are invalid. Reason: {reason}")
        return None

    url = queue.url()
    put(mints(700), mints(3, 1_000))
    with SqsProxy(sqs_endpoint, interfere=interfere) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", proxy.url)
        with closing(SqsQueue(replace(sqs_settings, url=url))) as restricted:
            publish_all(relay_to(restricted))
    assert publishing.unpublished() == 0
    process(queue)
    assert len(of()) == 703
    expect_conserved()


def test_a_transfer_that_is_larger_than_the_queue_takes_waits_alone_until_it_takes_more(
    queue: SqsQueue, caplog: pytest.LogCaptureFixture
) -> None:
    set_limit(queue, 1_024)
    packer = Packer(CHAIN, 262_144)
    packer.add_announcement(5, 0, 0, TOKEN, "☃" * 80, "☃" * 80, 6)
    packer.add_transfer(5, 0, 1, TOKEN, True, "", "g1a", 7)
    store.add(packer.messages())
    put(mints(40, 1_000))
    relay = relay_to(queue)
    for _ in range(3):
        publish_all(relay)
    (waiting,) = OutboxMessage.objects.filter(published_at=None)
    assert '"transfers":[]' in waiting.body
    assert caplog.text.count("Message waits until the queue takes larger ones") == 1
    assert "queue_limit=1024" in caplog.text
    process(queue)
    assert len(of()) == 41, "it held up no other"
    relay.finish()
    relay.run()  # which ends although one waits
    set_limit(queue, 262_144)
    queue.read_limit()
    publish_all(relay)
    process(queue)
    assert not OutboxMessage.objects.filter(applied_at=None).exists()


def test_the_recorder_packs_to_the_limit_that_the_relay_has_read(
    queue: SqsQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    class Recorder:
        def __init__(self, chain_id: str, profile: Any, max_message_bytes: int) -> None:
            sizes.append(max_message_bytes)

        def record(self, transactions: Any) -> None:
            pass

    monkeypatch.setattr(wiring, "Recorder", Recorder)
    wiring.record_events(CHAIN, [], queue.limit)
    relay_to(queue).publish_once()
    wiring.record_events(CHAIN, [], queue.limit)
    wiring.record_events(CHAIN, [])
    assert sizes == [262_144, LIMIT, 262_144]


def test_messages_to_the_byte_of_the_limit_are_taken_and_not_packed_again(queue: SqsQueue) -> None:
    (row,) = put(mints(30))
    set_limit(queue, message_bytes(row.body, row.id))
    publish_all(relay_to(queue))
    assert list(OutboxMessage.objects.values_list("id", "publishes")) == [(row.id, 1)]


def test_a_full_message_of_a_small_queue_is_nearly_as_large_as_it_takes() -> None:
    bodies = [one.body(2**62) for one in packed(mints(700), max_bytes=LIMIT)]
    assert max(message_bytes(body, 2**62) for body in bodies) <= LIMIT
    assert min(len(body) for body in bodies[:-1]) > LIMIT * 0.95


@pytest.mark.parametrize(("code", "reason", "size", "learned"), [
    ("InvalidParameterValue", "Message must be shorter than 20480 bytes.", 43_000, 20_480),
    ("BatchRequestTooLong", "Batch requests cannot be longer than 30000 bytes. You have sent 43000.", 43_000, 30_000),
    ("413", "", 43_000, 21_500),
    ("InvalidParameterValue", "Message must be shorter than 99999 bytes.", 43_000, 21_500),
    ("MessageTooLong", "", 1_500, 1_024),
    ("InternalError", "try again", 43_000, None),
])  # fmt: skip
def test_a_refusal_for_size_lowers_the_limit(code: str, reason: str, size: int, learned: int | None) -> None:
    limit = MessageLimit(262_144)
    limit.learn(code, reason, size)
    assert limit.learned == learned
    assert limit.bytes == (learned or 262_144)
    assert limit.read(200_000)
    assert limit.bytes == 200_000, "a changed attribute counts from then on"
