"""Credentials that expire, are rotated, or are absent for a while: the next call reads them again."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from django.db import connection

from balances.processor import Processor
from events.models import OutboxMessage
from events.queues.base import QueueUnavailable
from events.queues.sqs import visibility
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from tests.balances.ledger_factories import expect_conserved, of
from tests.events.factories import CHAIN, put_messages
from tests.events.queues.sqs.sqs_proxy import SqsProxy, error
from tests.polling import until

pytestmark = pytest.mark.sqs

EXPIRED = error("ExpiredTokenException", "The security token included in the request is expired", 403)


@dataclass
class Keys:
    """A credentials file, and the proxy in front of SQS that refuses keys which have expired."""

    file: Path
    proxy: SqsProxy
    key: str = "key-0"

    def write(self) -> str:
        """Put new keys into the file, as a sidecar does; returns the access key."""
        self.key = f"key-{int(self.key[4:]) + 1}"
        lines = f"aws_access_key_id={self.key}", "aws_secret_access_key=secret", "aws_session_token=token"
        self.file.write_text("\n".join(["[default]", *lines, ""]))
        return self.key

    def expire(self) -> None:
        self.proxy.refused_keys[self.key] = EXPIRED

    def rotate(self) -> str:
        self.expire()
        return self.write()


@pytest.fixture
def keys(sqs_endpoint: str, tmp_path: Path) -> Iterator[Keys]:
    with SqsProxy(sqs_endpoint) as proxy:
        yield Keys(tmp_path / "credentials", proxy)


@pytest.fixture
def settings_of_queue(sqs_settings: SqsSettings, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> SqsSettings:
    """A queue behind the proxy, with the keys of the file."""
    keys.write()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys.file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(keys.file.with_name("config")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", keys.proxy.url)
    return replace(sqs_settings, visibility_seconds=30)


@pytest.fixture
def queue(settings_of_queue: SqsSettings) -> Iterator[SqsQueue]:
    with closing(SqsQueue(settings_of_queue)) as made:
        made.dead_target()
        yield made


def receive(queue: SqsQueue) -> None:
    with queue.batch(0):
        pass


def look_at_dead_letters(queue: SqsQueue) -> None:
    dead = queue.dead_letters()
    assert dead
    dead.look_through(lambda message: False)


CALLS: dict[str, Callable[[SqsQueue], object]] = {
    "SendMessageBatch": lambda queue: queue.send([(1, "x")]),
    "ReceiveMessage": receive,
    "GetQueueAttributes": SqsQueue.depth,
    "GetQueueUrl": SqsQueue.read_limit,
    "ReceiveMessage of dead letters": look_at_dead_letters,
}


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_after_the_keys_were_rotated_uses_the_new_ones_at_once(name: str, keys: Keys, queue: SqsQueue) -> None:
    new = keys.rotate()
    if name == "GetQueueUrl":
        queue._url = ""  # it looks the queue up again
    CALLS[name](queue)
    assert name.split()[0] in keys.proxy.operations(new)


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_keys_rotated_while_a_batch_is_worked_on_extend_its_visibility_and_acknowledge_it(
    keys: Keys, queue: SqsQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visibility, "PART", 0.001)
    queue.send([(1, "x")])
    with queue.batch(1) as deliveries:
        assert deliveries
        new = keys.rotate()
        until(lambda: "ChangeMessageVisibilityBatch" in keys.proxy.operations(new), "an extension with the new keys")
        newer = keys.rotate()
    assert "DeleteMessageBatch" in keys.proxy.operations(newer)
    assert queue.depth() == 0


def test_keys_that_another_program_prints_are_asked_for_again(
    keys: Keys, settings_of_queue: SqsSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    printed = tmp_path / "keys.json"

    def write(key: str) -> None:
        printed.write_text(json.dumps({"Version": 1, "AccessKeyId": key, "SecretAccessKey": "secret"}))

    keys.file.with_name("config").write_text(f"[profile rotating]\ncredential_process = cat {printed}\n")
    monkeypatch.setenv("AWS_PROFILE", "rotating")
    write("printed-1")
    with closing(SqsQueue(settings_of_queue)) as queue:
        assert queue.send([(1, "x")]) == [1]
        keys.proxy.refused_keys["printed-1"] = EXPIRED
        write("printed-2")
        assert queue.send([(2, "x")]) == [2]
    assert "SendMessageBatch" in keys.proxy.operations("printed-2")


@pytest.mark.parametrize("content", [None, "", "[default\n", "[default]\naws_access_key_id=half"], ids=ascii)
def test_a_file_that_is_being_written_is_waited_for(content: str | None, keys: Keys, queue: SqsQueue) -> None:
    keys.expire()
    if content is None:
        keys.file.unlink()
    else:
        keys.file.write_text(content)
    for _ in range(2):
        with pytest.raises(QueueUnavailable):
            queue.send([(1, "x")])
    keys.write()
    assert queue.send([(1, "x")]) == [1]


@pytest.mark.db
@pytest.mark.django_db(transaction=True)
def test_relay_and_processor_wait_while_the_keys_are_expired_and_go_on_with_new_ones(
    keys: Keys, settings_of_queue: SqsSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for constant in ("events.queues.sqs.relay.LOOK_SECONDS", "balances.processor.RETRY_SECONDS"):
        monkeypatch.setattr(constant, 0.05)
    stop = threading.Event()
    relay = Relay(SqsQueue(settings_of_queue), 3600, stop)
    processor = Processor(SqsQueue(settings_of_queue), lambda: CHAIN, stop, wait_seconds=1)

    def run(work: Callable[[], None]) -> None:
        with suppress(SystemExit):
            work()
        connection.close()

    threads = [threading.Thread(target=run, args=[each.run]) for each in (relay, processor)]
    with caplog.at_level(logging.INFO):
        for thread in threads:
            thread.start()
        try:
            put_messages(3)
            until(lambda: processor.messages == 3, "the first messages")
            keys.expire()
            put_messages(3, first_height=10)
            until(lambda: "Relay waits" in caplog.text and "Processor waits" in caplog.text, "both waiting")
            keys.write()
            until(lambda: processor.messages == 6, "the rest")
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
            relay.queue.close()
            processor.queue.close()
    assert caplog.text.count("Relay waits") == 1
    assert of() == {"g1a": 6}
    assert not OutboxMessage.objects.filter(applied_at=None).exists()
    expect_conserved()
