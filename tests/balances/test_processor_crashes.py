"""A processor that is killed (SIGKILL, a real process) at the worst instructions: nothing lost, nothing twice."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from django.db import transaction

from balances.models import Transfer
from events import ledger_lock
from events.outbox import store
from events.queues.postgres import PostgresQueue
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from tests.balances.concurrent_worker import paused_worker
from tests.balances.ledger_factories import apply_all, expect_conserved, of, processor, put
from tests.conftest import ROOT, database_url
from tests.events.factories import Row
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

ROWS = [Row(1, 0, 0, "", "g1a", 100), Row(2, 0, 0, "g1a", "g1b", 30)]


@contextmanager
def killed_when_stuck(*arguments: str) -> Iterator[None]:
    """Start a processor, wait until it is stuck where it should be; the block sees that state; then it is killed."""
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "indexer_project.settings"}
    command = [sys.executable, "-m", "tests.balances.stuck_processor", *arguments]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        # Should it never get there, the test fails instead of waiting for ever.
        deadline = threading.Timer(30, process.kill)
        deadline.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stuck\n"
            yield
        finally:
            process.kill()
            process.wait()
            deadline.cancel()


@pytest.fixture
def sqs(sqs_settings: SqsSettings) -> Iterator[SqsQueue]:
    """A queue that gives a dead processor's messages back after a second."""
    with closing(SqsQueue(replace(sqs_settings, visibility_seconds=1))) as queue:
        yield queue


def publish(queue: SqsQueue) -> None:
    relay = Relay(queue, republish_after=3600, stop=threading.Event())
    while relay.publish_once():
        pass


def messages_in(queue: SqsQueue) -> int:
    answer = queue.connection.client().get_queue_attributes(
        QueueUrl=queue.url(), AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    )
    return sum(int(number) for number in answer["Attributes"].values())


def test_killed_between_receive_and_commit_it_leaves_everything_to_the_next() -> None:
    put(ROWS)
    with killed_when_stuck("before-commit"):
        assert not Transfer.objects.exists()
    # PostgreSQL frees the row as soon as it sees that the connection is gone.
    until(lambda: apply_all().messages, "the dead processor's message")
    assert of() == {"g1a": 70, "g1b": 30}
    assert store.depth().pending == 0
    expect_conserved()


@pytest.mark.sqs
def test_killed_between_receive_and_commit_its_messages_come_back_from_sqs(sqs: SqsQueue) -> None:
    put(ROWS)
    publish(sqs)
    with killed_when_stuck("before-commit", sqs.url()):
        assert not Transfer.objects.exists()
    one = processor(sqs)
    until(lambda: one.process_batch(1), "redelivery")
    assert of() == {"g1a": 70, "g1b": 30}
    assert store.depth().pending == 0
    expect_conserved()


@pytest.mark.sqs
def test_killed_between_commit_and_acknowledgement_what_comes_again_changes_nothing(sqs: SqsQueue) -> None:
    put(ROWS)
    publish(sqs)
    with killed_when_stuck("before-acknowledgement", sqs.url()):
        assert of() == {"g1a": 70, "g1b": 30}, "it was committed"
        assert store.depth().pending == 0
    one = processor(sqs)
    until(lambda: one.process_batch(1), "redelivery")
    assert of() == {"g1a": 70, "g1b": 30}
    assert (one.messages, one.transfers) == (0, 0)
    assert messages_in(sqs) == 0, "and now it is acknowledged"
    expect_conserved()


def test_a_processor_that_is_frozen_in_a_batch_loses_it_to_others_and_goes_on_afterwards(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It holds rows of the outbox and keeps everyone out who wants the ledger for himself: not for ever."""
    monkeypatch.setattr(ledger_lock, "IDLE_SECONDS", 0.2)
    put(ROWS)
    with closing(PostgresQueue()) as queue:
        one = processor(queue)
        name = one.chain_id

        def work(pause: Callable[[], None]) -> None:
            def freeze() -> str | None:
                one.chain_id = name
                pause()
                return name()

            one.chain_id = freeze
            one.run(until_applied=True)

        with paused_worker(work):
            until(lambda: apply_all().messages == 1, "its message applied by another")
            with transaction.atomic():
                ledger_lock.close(5)
            put([Row(3, 0, 0, "g1b", "", 5)])
    assert one.messages == 1, "the next message, applied by it"
    assert of() == {"g1a": 70, "g1b": 25}
    expect_conserved()
    told = [record.message for record in caplog.records if record.name == "balances.processor"]
    assert [message.partition(" error=")[0] for message in told] == ["Processor waits", "Processor goes on"]
    assert "idle-in-transaction timeout" in told[0]
