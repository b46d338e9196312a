"""SQS: what is worked on stays hidden for as long as it takes; and FIFO queues."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from balances import processor as processor_module
from balances.ledger.apply import apply
from balances.processor import Processor
from events.models import OutboxMessage
from events.queues.sqs import client, visibility
from events.queues.sqs.client import SqsConnection
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from tests.balances.ledger_factories import expect_conserved, of
from tests.events.factories import CHAIN, put_messages
from tests.polling import until

VISIBILITY = 1


@pytest.fixture
def short(sqs_settings: SqsSettings) -> SqsSettings:
    return replace(sqs_settings, visibility_seconds=VISIBILITY)


@pytest.fixture
def queue(short: SqsSettings) -> Iterator[SqsQueue]:
    with closing(SqsQueue(short)) as made:
        yield made


def renewing() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "visibility"]


@pytest.mark.sqs
@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_batch_that_takes_longer_than_the_visibility_is_given_to_nobody_else(
    queue: SqsQueue, short: SqsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_messages(3)
    Relay(queue, republish_after=3600, stop=threading.Event()).publish_once()
    seen_by_another: list[int] = []

    def slow(messages: Any, **how: Any) -> int:
        with closing(SqsQueue(short)) as other:
            deadline = time.monotonic() + 2.5 * VISIBILITY
            while time.monotonic() < deadline:
                found = other.connection.client().receive_message(
                    QueueUrl=other.url(), WaitTimeSeconds=0, VisibilityTimeout=0
                )
                seen_by_another.append(len(found.get("Messages", [])))
                time.sleep(0.1)
        return apply(messages, **how)

    monkeypatch.setattr(processor_module, "apply", slow)
    one = Processor(queue, lambda: CHAIN, threading.Event())
    until(lambda: one.process_batch(1) and one.messages, "the slow batch")
    assert len(seen_by_another) > 3
    assert set(seen_by_another) == {0}
    assert one.messages == 3
    assert of() == {"g1a": 3}
    assert queue.depth() == 0, "acknowledged by receipts that are still good"
    assert not renewing(), "it stops with the batch"
    assert not OutboxMessage.objects.filter(applied_at=None).exists()
    expect_conserved()


class Client:
    """Stands in for boto3's client where only the visibility is changed."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls = list(answers), list[list[Any]]()

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[Any]) -> Any:
        self.calls.append(Entries)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_renewal_that_fails_is_said_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(visibility, "PART", 0.01)
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)
    error = ClientError({"Error": {"Code": "InternalError", "Message": "oh"}}, "ChangeMessageVisibilityBatch")
    answering = Client(*[error] * 3, {"Failed": [{"Id": "0", "Code": "ReceiptHandleIsInvalid"}]})
    connection = SqsConnection("us-east-1")
    connection._client = answering  # type: ignore[assignment]  # it has what is called
    with (
        caplog.at_level(logging.WARNING),
        suppress(SystemExit),
        visibility.kept_hidden(connection, "http://queue", ["r1", "r2"], 1),
    ):
        until(lambda: len(answering.calls) >= 5, "three renewals")
        raise SystemExit
    calls = len(answering.calls)
    time.sleep(0.05)
    assert len(answering.calls) == calls, "it stops with the block"
    assert caplog.text.count("visibility not extended") == 2
    assert [entry["ReceiptHandle"] for entry in answering.calls[0]] == ["r1", "r2"]
    assert {entry["VisibilityTimeout"] for entry in answering.calls[0]} == {1}


# FIFO


@pytest.mark.sqs
@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_a_fifo_queue_works_and_takes_what_is_published_again(short: SqsSettings) -> None:
    with closing(SqsQueue(replace(short, name=f"{short.name}.fifo"))) as fifo:
        assert fifo.url().endswith(".fifo")
        dead = fifo.dead_target()
        assert dead
        assert dead.url.endswith(f"/{short.name}-dead.fifo")
        put_messages(10)
        relay = Relay(fifo, republish_after=0, stop=threading.Event())
        for _ in range(2):
            assert relay.publish_once() == 10
        assert fifo.depth() == 20, "SQS swallowed no copy as a duplicate"
        one = Processor(fifo, lambda: CHAIN, threading.Event())
        until(lambda: one.process_batch(0) == 0 and fifo.depth() == 0, "everything worked off")
        assert of() == {"g1a": 10}
    expect_conserved()
