"""`runsync` and `processevents` as real processes on an SQS that hangs, or takes small messages only."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from events.models import OutboxMessage
from events.outbox import publishing
from events.queues.sqs.messages import message_bytes
from events.queues.sqs.queue import SqsQueue, SqsSettings
from indexer_project.thread_supervision import beside
from replay.recording import Recording
from replay.server import ReplaySource
from tests.conftest import ROOT, database_url, recorded
from tests.events.factories import put_messages
from tests.events.queues.sqs.sqs_proxy import SqsProxy
from tests.polling import until

pytestmark = [pytest.mark.sqs, pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


@dataclass
class Command:
    """One `manage.py` command with its log."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def text(self) -> str:
        return self.log.read_text()


Start = Callable[..., Command]


@pytest.fixture
def start(sqs_settings: SqsSettings, tmp_path: Path) -> Iterator[Start]:
    """`start(command, …, VARIABLE=value)`: a process on the test's queue, which is killed at the end of the test."""
    started: list[Command] = []

    def one(*arguments: str, **environment: str) -> Command:
        log = tmp_path / f"{len(started)}.log"
        kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("AWS_")}
        variables = kept | {
            "DATABASE_URL": database_url(),
            "QUEUE": "sqs",
            "SQS_QUEUE_NAME": sqs_settings.name,
            "SQS_CREATE_QUEUE": "true",
            "SYNC_POLL_SECONDS": "0.05",
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=variables | environment, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip
        started.append(Command(process, log))
        return started[-1]

    yield one
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def test5() -> Recording:
    return recorded("test5-1")


def test_sigterm_ends_both_processes_within_the_grace_period_while_sqs_hangs(
    start: Start, sqs_endpoint: str, test5: Recording
) -> None:
    put_messages(1)
    with SqsProxy(sqs_endpoint) as proxy, ReplaySource(test5) as source:
        proxy.hangs.set()
        both = [
            start("runsync", TX_INDEXER_URLS=source.url, AWS_ENDPOINT_URL_SQS=proxy.url),
            start("processevents", AWS_ENDPOINT_URL_SQS=proxy.url),
        ]
        until(lambda: len(proxy.requests) >= 2, "both waiting for SQS")
        for each in both:
            each.process.send_signal(signal.SIGTERM)
        for each in both:
            each.process.wait(30)  # four tries of thirty seconds took two minutes
            assert "Traceback" not in each.text, each.text
    assert publishing.unpublished() > 0


def test_a_thread_that_hangs_does_not_keep_the_command_after_a_stop(caplog: pytest.LogCaptureFixture) -> None:
    stop, hanging = threading.Event(), threading.Event()
    try:
        # The signal comes while the relay publishes what is left.
        with beside(lambda: hanging.wait(60), "relay", stop=stop, finish=stop.set, patience=0.05):
            pass
    finally:
        hanging.set()
    assert "left behind" in caplog.text


def test_a_chain_goes_through_a_queue_of_the_smallest_size(
    start: Start, sqs_settings: SqsSettings, test5: Recording
) -> None:
    with closing(SqsQueue(sqs_settings)) as queue:
        queue.connection.client().set_queue_attributes(QueueUrl=queue.url(), Attributes={"MaximumMessageSize": "1024"})
        with ReplaySource(test5) as source:
            filling = start("runsync", "--until-tip", TX_INDEXER_URLS=source.url)
            assert filling.process.wait(60) == 0, filling.text
        applying = start("processevents", "--until-applied")
        assert applying.process.wait(60) == 0, applying.text
    rows = list(OutboxMessage.objects.all())
    assert max(message_bytes(row.body, row.id) for row in rows) <= 1_024
    assert all(row.applied_at for row in rows)
    assert "SQS_MAX_MESSAGE_BYTES=262144 queue_limit=1024" in filling.text
