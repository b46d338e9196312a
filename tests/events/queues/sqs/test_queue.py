"""What only SQS can do wrong: settings that cannot be right, queues that are not there, batches that are too long."""

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from dev.localstack import free_port
from events.queues.base import QueueUnavailable
from events.queues.sqs import client
from events.queues.sqs.queue import SqsQueue, SqsSettings
from tests.events.factories import Row, packed

NOWHERE = SqsSettings(url="", name="q", region="us-east-1", create=False, visibility_seconds=60)


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine that knows nothing of AWS."""
    for name in (
        "AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    boto3.DEFAULT_SESSION = None
    return monkeypatch


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries are not what is tested."""
    monkeypatch.setattr(client, "PAUSE_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def _fresh_session() -> Iterator[None]:
    # boto3's default session remembers the environment that it was made in.
    boto3.DEFAULT_SESSION = None
    yield
    boto3.DEFAULT_SESSION = None


def queue(settings: SqsSettings) -> "closing[SqsQueue]":
    return closing(SqsQueue(settings))


@pytest.mark.usefixtures("no_aws")
def test_no_region_is_said_by_the_variables_names() -> None:
    with pytest.raises(QueueUnavailable, match=r"SQS_REGION.*AWS_DEFAULT_REGION"):
        SqsQueue(replace(NOWHERE, region=""))


def test_an_endpoint_that_is_no_url_is_said_by_the_variables_name(no_aws: pytest.MonkeyPatch) -> None:
    no_aws.setenv("AWS_ENDPOINT_URL_SQS", "localhost:4566")
    with pytest.raises(QueueUnavailable, match="AWS_ENDPOINT_URL_SQS"):
        SqsQueue(NOWHERE)


@pytest.mark.usefixtures("no_aws")
def test_no_credentials_are_said_by_the_variables_names() -> None:
    with queue(NOWHERE) as sqs, pytest.raises(QueueUnavailable, match=r"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        sqs.send([(1, "x")])


@pytest.mark.usefixtures("no_pauses")
def test_a_server_that_is_away_is_said_with_the_queues_name(no_aws: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        no_aws.setenv(name, value)
    no_aws.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{free_port()}")
    with queue(replace(NOWHERE, name="balances-queue")) as sqs:
        with pytest.raises(QueueUnavailable, match="balances-queue"):
            sqs.send([(1, "x")])
        with pytest.raises(QueueUnavailable, match="balances-queue"), sqs.batch(0):
            pass


@pytest.mark.sqs
def test_a_missing_queue_is_said_by_name_with_the_ways_out(sqs_settings: SqsSettings) -> None:
    with queue(replace(sqs_settings, create=False)) as sqs:
        with pytest.raises(QueueUnavailable, match=f"{sqs_settings.name}.*SQS_CREATE_QUEUE=true"):
            sqs.url()
        with queue(sqs_settings) as other:
            other.url()
        assert sqs.url() == other.url(), "and it is found once somebody has made it"


@pytest.mark.sqs
def test_a_queue_is_made_with_the_visibility_that_is_set(sqs_settings: SqsSettings) -> None:
    with queue(sqs_settings) as sqs:
        answer = sqs.connection.client().get_queue_attributes(QueueUrl=sqs.url(), AttributeNames=["VisibilityTimeout"])
    assert answer["Attributes"] == {"VisibilityTimeout": "60"}


@pytest.mark.sqs
def test_a_queue_given_by_url_is_used_as_it_is(sqs_settings: SqsSettings) -> None:
    with queue(sqs_settings) as made, queue(replace(sqs_settings, url=made.url(), name="", create=False)) as given:
        assert given.send([(7, "hello")]) == [7]


@pytest.mark.sqs
def test_a_queue_that_is_deleted_while_running_is_said_and_made_again(sqs_queue: SqsQueue) -> None:
    assert sqs_queue.send([(1, "x")]) == [1]
    sqs_queue.connection.client().delete_queue(QueueUrl=sqs_queue.url())
    with pytest.raises(QueueUnavailable, match="no such queue"):
        sqs_queue.send([(2, "x")])
    assert sqs_queue.send([(2, "x")]) == [2]


@pytest.mark.sqs
def test_a_queue_given_by_url_that_is_deleted_stays_missing(sqs_settings: SqsSettings) -> None:
    with queue(sqs_settings) as made, queue(replace(sqs_settings, url=made.url())) as given:
        made.connection.client().delete_queue(QueueUrl=made.url())
        for _ in range(2):
            with pytest.raises(QueueUnavailable, match="no such queue"), given.batch(0):
                pass


@pytest.mark.sqs
def test_the_fullest_message_with_hostile_strings_is_taken(sqs_queue: SqsQueue) -> None:
    rows = [Row(1, 0, n, "", f"\x01\ufffe\uffff\x1b{n}", 1) for n in range(20_000)]
    bodies = [message.body(n) for n, message in enumerate(packed(rows, max_bytes=1_048_576))]
    assert len(bodies[0]) > 1_000_000
    assert sqs_queue.send([(0, bodies[0])]) == [0]


def test_entries_that_are_refused_for_their_credentials_renew_the_session() -> None:
    sqs = answering(Answers(refuse=("2",), code="AccessDenied"))
    refusing = sqs.connection.client()
    assert sqs.send([(1, "x"), (2, "x")]) == [1]
    assert sqs.connection.client() is not refusing
    sqs.close()


class Answers:
    """Stands in for boto3's client: takes batches of `most` bytes, refuses the ids in `refuse`."""

    def __init__(self, most: int = 1_000, refuse: tuple[str, ...] = (), code: str = "InternalError") -> None:
        self.most, self.refuse, self.code, self.tries = most, refuse, code, 0
        self.sent: list[list[str]] = []

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> dict[str, Any]:
        self.tries += 1
        if sum(len(entry["MessageBody"]) for entry in Entries) > self.most:
            code = "AWS.SimpleQueueService.BatchRequestTooLong"
            raise ClientError({"Error": {"Code": code, "Message": "too long"}}, "SendMessageBatch")
        ids = [entry["Id"] for entry in Entries]
        self.sent.append(ids)
        failed = [{"Id": one, "Code": self.code, "SenderFault": False} for one in ids if one in self.refuse]
        return {"Successful": [{"Id": one} for one in ids if one not in self.refuse], "Failed": failed}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


def answering(answers: Answers) -> SqsQueue:
    sqs = SqsQueue(replace(NOWHERE, url="http://queue"))
    sqs.close()
    sqs.connection._client = answers  # type: ignore[assignment]  # it has what `send` calls
    return sqs


def test_a_batch_too_long_for_the_server_is_sent_in_parts() -> None:
    answers = Answers(most=1_000)
    assert answering(answers).send([(n, "x" * 300) for n in range(10)]) == list(range(10))
    assert max(map(len, answers.sent)) <= 3


def test_a_message_that_is_too_long_for_the_server_is_refused_once_in_the_log_and_holds_up_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = Answers(most=1_000)
    sqs = answering(answers)
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert sqs.send([(1, "x" * 3_000), (2, "x"), (3, "x")]) == [2, 3]
    assert caplog.text.count("SQS refused a message outbox_id=1 bytes=3016 code=BatchRequestTooLong") == 1
    assert "SQS_MAX_MESSAGE_BYTES=1048576 queue_limit=unknown accepted_so_far=1508" in caplog.text


def test_a_batch_that_was_too_long_once_is_sent_in_parts_at_once_the_next_time() -> None:
    answers = Answers(most=1_000)
    sqs = answering(answers)
    messages = [(n, "x" * 300) for n in range(10)]
    sqs.send(messages)
    tries, sent = answers.tries, len(answers.sent)
    assert sqs.send(messages) == list(range(10))
    assert answers.tries - tries == len(answers.sent) - sent, "none was refused"


def test_entries_that_the_server_refuses_are_not_among_those_it_took(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert answering(Answers(refuse=("2",))).send([(1, "x"), (2, "x"), (3, "x")]) == [1, 3]
    assert "outbox_id=2" in caplog.text
