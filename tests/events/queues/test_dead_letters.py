"""Dead letters: kept with their reason, tried again or discarded by a person, on both back ends; nothing is lost."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection
from pytest_django import Settings

from balances.processor import Processor
from events.models import OutboxMessage, SetAsideMessage
from events.outbox import message, store
from events.queues import dead_letters
from events.queues.base import Queue
from events.queues.postgres import PostgresQueue
from events.queues.sqs.queue import SqsQueue, SqsSettings
from events.queues.sqs.relay import Relay
from tests.balances.ledger_factories import expect_conserved, of, put
from tests.events.factories import CHAIN, Row
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

RECEIVES = 2


@dataclass
class BackEnd:
    """One back end under test; `sqs` is None with PostgreSQL."""

    queue: Queue
    sqs: SqsQueue | None

    def publish(self) -> None:
        if self.sqs:
            relay = Relay(self.sqs, republish_after=3600, stop=threading.Event())
            while relay.publish_once():
                pass

    def process(self) -> int:
        return Processor(self.queue, lambda: CHAIN, threading.Event()).process_batch(0)

    def process_until(self, condition: Callable[[], object], what: str) -> None:
        def done() -> object:
            self.process()
            return condition()

        until(done, what)

    def in_dead_queue(self) -> int:
        """Messages in the dead-letter queue, or in the state of one with PostgreSQL."""
        if self.sqs is None:
            return store.depth().set_aside
        target = self.sqs.dead_target()
        assert target
        attributes = self.sqs.connection.client().get_queue_attributes(
            QueueUrl=target.url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(map(int, attributes.values()))

    def let_them_die(self, count: int = 1) -> None:
        """Process until `count` messages came so often that they are dead letters."""
        self.process_until(lambda: self.in_dead_queue() == count, f"{count} dead letters")


@pytest.fixture
def short(request: pytest.FixtureRequest, settings: Settings) -> SqsSettings:
    """A queue that gives out again after a second, and is the one of the settings."""
    made: SqsSettings = replace(request.getfixturevalue("sqs_settings"), visibility_seconds=1, max_receives=RECEIVES)
    settings.QUEUE, settings.SQS_QUEUE_NAME = "sqs", made.name
    return made


@pytest.fixture(params=["postgres", pytest.param("sqs", marks=pytest.mark.sqs)])
def back_end(request: pytest.FixtureRequest) -> Iterator[BackEnd]:
    if request.param == "postgres":
        with closing(PostgresQueue()) as queue:
            yield BackEnd(queue, None)
    else:
        with closing(SqsQueue(request.getfixturevalue("short"))) as sqs:
            yield BackEnd(sqs, sqs)


def mint(height: int, amount: int = 10) -> list[Row]:
    return [Row(height, 0, 0, "", "g1a", amount)]


def put_of_version_2(height: int) -> OutboxMessage:
    """A message as a newer program writes it."""
    (row,) = put(mint(height))
    row.body = json.dumps(json.loads(row.body) | {"version": 2})
    row.save(update_fields=["body"])
    return row


def deadletters(*arguments: str) -> str:
    out = StringIO()
    call_command("deadletters", *arguments, stdout=out)
    return out.getvalue()


def states() -> list[str]:
    return [one.state for one in dead_letters.letters()]


def test_a_message_of_a_future_version_ends_as_a_dead_letter_with_its_reason_and_is_applied_after_the_upgrade(
    back_end: BackEnd, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = put_of_version_2(5)
    put(mint(9, 7))
    back_end.publish()
    back_end.let_them_die()
    assert of() == {"g1a": 7}, "it held up no other"
    (one,) = dead_letters.letters()
    assert (one.outbox_id, one.first_height, one.state) == (future.id, 5, "dead")
    assert one.reason == "version 2, and this program reads version 1"
    assert one.receives == (RECEIVES if back_end.sqs else 1)
    assert store.depth() == store.Depth(pending=0, set_aside=1), "the sweeper leaves it alone, the row stays"
    assert "version 2" in deadletters("list")
    assert f"outbox message {future.id} (heights 5 to 5)" in deadletters("show", str(one.id))

    monkeypatch.setattr(message, "VERSION", 2)
    assert "1 messages" in deadletters("redrive", str(one.id))
    assert states() == ["redriven"]
    assert back_end.in_dead_queue() == 0
    back_end.publish()
    back_end.process_until(lambda: of() == {"g1a": 17}, "the redriven message applied")
    assert states() == ["applied"]
    assert store.depth() == store.Depth(0, 0)
    assert deadletters("list") == "0 dead letters.\n"
    assert "applied" in deadletters("list", "--all")
    expect_conserved()


def test_redriven_too_early_it_becomes_a_dead_letter_again() -> None:
    put_of_version_2(5)
    with closing(PostgresQueue()) as queue:
        back_end = BackEnd(queue, None)
        back_end.process()
        deadletters("redrive", "--all")
        assert store.depth() == store.Depth(pending=1, set_aside=0)
        back_end.process()
    (one,) = dead_letters.letters()
    assert (one.state, one.receives) == ("dead", 2)
    assert store.depth() == store.Depth(pending=0, set_aside=1)


def test_a_copy_of_an_outbox_row_that_is_not_applied_is_never_discarded() -> None:
    put_of_version_2(5)
    with closing(PostgresQueue()) as queue:
        BackEnd(queue, None).process()
    (one,) = dead_letters.letters()
    with pytest.raises(CommandError, match=r"heights 5 to 5 are missing.*reparse --from-height 5 --to-height 5"):
        deadletters("discard", str(one.id), "--reason", "no idea")
    assert states() == ["dead"]
    OutboxMessage.objects.update(applied_at="2026-01-01T00:00:00Z", set_aside_at=None)
    deadletters("discard", str(one.id), "--reason", "reparsed")
    assert states() == ["discarded"]


def test_what_there_is_none_of_is_said() -> None:
    for arguments in (["show", "7"], ["redrive", "7"], ["discard", "7", "--reason", "x"]):
        with pytest.raises(CommandError, match="no dead letter 7"):
            deadletters(*arguments)
    assert "0 messages" in deadletters("redrive", "--all")


def test_a_letter_of_a_queue_that_is_not_in_use_cannot_go_back_to_it() -> None:
    store.set_aside("m-1", None, "garbage", "why")
    with pytest.raises(CommandError, match="QUEUE"):
        deadletters("redrive", "--all")
    assert states() == ["dead"]


def test_discarding_needs_a_reason_and_is_recorded_once() -> None:
    store.set_aside("m-1", None, "garbage", "why")
    (one,) = dead_letters.letters()
    with pytest.raises(CommandError, match="reason"):
        deadletters("discard", str(one.id), "--reason", " ")
    deadletters("discard", str(one.id), "--reason", "a test of ours")
    assert SetAsideMessage.objects.get().decision == "a test of ours"
    assert "a test of ours" in deadletters("show", str(one.id))
    with pytest.raises(CommandError, match="discarded before: a test of ours"):
        deadletters("discard", str(one.id), "--reason", "again")
    assert not store.set_aside("m-1", None, "garbage", "why"), "should it come again, it is acknowledged"


# What only SQS has


@pytest.mark.sqs
def test_garbage_is_given_out_a_bounded_number_of_times_and_can_be_sent_back_or_discarded(short: SqsSettings) -> None:
    with closing(SqsQueue(short)) as sqs:
        back_end = BackEnd(sqs, sqs)
        sqs.send([(number, f"garbage {number}") for number in range(10)])
        sqs.send([(number, f"garbage {number}") for number in range(10, 12)])
        back_end.let_them_die(12)
        assert {(one.outbox_id, one.receives, one.state) for one in dead_letters.letters()} == {
            (None, RECEIVES, "dead")
        }
        dead, seen = sqs.dead_letters(), list[str]()
        assert dead
        assert dead.look_through(lambda message: bool(seen.append(message.body))) == 0  # type: ignore[func-returns-value]  # None is "leave it"
        assert len(set(seen)) == len(seen) == 12, "each was shown once, and is there for others again"
        first, second, *_ = dead_letters.letters()
        deadletters("discard", str(second.id), "--reason", "no message")
        assert back_end.in_dead_queue() == 11
        deadletters("redrive", str(first.id))
        assert back_end.in_dead_queue() == 10
        assert sqs.depth() == 1, "it is in the queue again, as it came"


@pytest.mark.sqs
def test_what_processors_died_of_without_a_word_is_recorded_when_somebody_looks_and_goes_back_to_the_queue(
    short: SqsSettings,
) -> None:
    (row,) = put(mint(5))
    with closing(SqsQueue(short)) as sqs:
        back_end = BackEnd(sqs, sqs)
        back_end.publish()

        def died() -> bool:
            with suppress(SystemExit), sqs.batch(0) as deliveries:
                raise SystemExit(len(deliveries))
            return back_end.in_dead_queue() == 1

        until(died, "the dead letter")
        assert states() == []
        assert f"received {RECEIVES} times and never finished" in deadletters("list")
        (one,) = dead_letters.letters()
        assert (one.outbox_id, one.state, one.receives) == (row.id, "redriven", RECEIVES), "the row is published again"
        assert "1 dead letters" in deadletters("list"), "it is recorded once"
        assert "1 messages" in deadletters("redrive", "--all")
        assert back_end.in_dead_queue() == 0
        back_end.publish()
        back_end.process_until(lambda: of() == {"g1a": 10}, "the message applied")
        assert states() == ["applied"]


@pytest.mark.sqs
def test_a_list_without_sqs_is_what_is_recorded(short: SqsSettings, settings: Settings) -> None:
    store.set_aside("m-1", None, "garbage", "why")
    settings.SQS_QUEUE_NAME, settings.SQS_CREATE_QUEUE = "no-such-queue", False
    err, out = StringIO(), StringIO()
    call_command("deadletters", "list", stdout=out, stderr=err)
    assert "garbage" not in out.getvalue()
    assert "why" in out.getvalue()
    assert "Only what is recorded is listed. There is no SQS queue 'no-such-queue'" in err.getvalue()


@pytest.mark.sqs
def test_a_row_of_which_nothing_can_be_read_is_known_by_the_label_of_its_copy(short: SqsSettings) -> None:
    (row,) = put(mint(5))
    OutboxMessage.objects.update(body="not even JSON")
    with closing(SqsQueue(short)) as sqs:
        back_end = BackEnd(sqs, sqs)
        back_end.publish()
        sqs.send([(row.id, "garbage that claims the row")])
        back_end.let_them_die(2)
        assert {(dead_letters.body(one), one.outbox_id) for one in dead_letters.letters()} == {
            ("not even JSON", row.id),
            ("garbage that claims the row", None),
        }
        assert store.depth() == store.Depth(pending=0, set_aside=1)


@pytest.mark.sqs
def test_nothing_is_received_while_the_database_is_away(sqs_queue: SqsQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise five minutes without a database would end every message as a dead letter."""
    sqs_queue.send([(1, "x")])

    def away(*arguments: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", away)
        with pytest.raises(OperationalError), sqs_queue.batch(0):
            pass
    with sqs_queue.batch(1) as deliveries:
        assert len(deliveries) == 1, "it was not received before, so it is not hidden"


@pytest.mark.sqs
def test_the_queue_is_made_with_a_dead_letter_queue_that_keeps_for_long(short: SqsSettings) -> None:
    with closing(SqsQueue(short)) as sqs:
        dead = sqs.dead_target()
        assert dead
        assert dead.url.endswith(f"/{short.name}-dead")
        assert dead.receives == RECEIVES
        kept = sqs.connection.client().get_queue_attributes(
            QueueUrl=dead.url, AttributeNames=["MessageRetentionPeriod"]
        )
        assert kept["Attributes"]["MessageRetentionPeriod"] == "1209600"


@pytest.mark.sqs
def test_a_queue_without_a_redrive_policy_is_used_as_it_is_with_one_warning(
    short: SqsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(SqsQueue(short)) as sqs:
        sqs.connection.client().create_queue(QueueName=short.name)
        back_end = BackEnd(sqs, sqs)
        sqs.send([(1, "garbage")])
        with caplog.at_level(logging.WARNING, "events.queues.sqs.queue"):
            back_end.process_until(lambda: states() == ["dead"], "the reason stored")
            back_end.process()
        assert caplog.text.count("no redrive policy") == 1
        assert sqs.depth() == 0, "it was acknowledged: it is in the database"
        (one,) = dead_letters.letters()
        assert (dead_letters.body(one), one.receives) == ("garbage", 1)
        deadletters("redrive", str(one.id))
        assert sqs.depth() == 1
