"""Several processors at once on the same few accounts: never a deadlock, and the right sums at the end."""

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from django.db import connection, transaction

from balances.ledger.apply import apply
from balances.models import Token
from events.outbox import store
from events.outbox.message import Packer, decode
from events.queues.postgres import PostgresQueue
from tests.balances.concurrent_worker import closing_connection, waits
from tests.balances.ledger_factories import added_up, balances, expect_conserved, messages, processor, put
from tests.events.factories import CHAIN, TOKEN, Row
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]

PROCESSORS = 4
TOKENS = [TOKEN, "gno.land/r/demo/bar20", "gno.land/r/demo/baz20"]
HOT = [f"g1hot{number}" for number in range(6)]


def hot_rows(seed: int, lists: int, size: int) -> list[list[Row]]:
    """Lists of transfers among the same few accounts, in an order of accounts that differs from list to list."""
    dice = random.Random(seed)

    def row(height: int, number: int) -> Row:
        sender, recipient = dice.sample(["", *HOT], 2)
        return Row(height, 0, number, sender, recipient, dice.randrange(1, 1000), dice.choice(TOKENS))

    return [[row(height, number) for number in range(size)] for height in range(lists)]


def at_once(work: Callable[[int], None]) -> None:
    """Run `work` in several threads, begun together; whatever one of them raises is raised here."""
    gate = threading.Barrier(PROCESSORS)
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            gate.wait(20)
            work(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(PROCESSORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_processors_on_hot_accounts_never_deadlock_and_end_with_the_right_sums(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lists = hot_rows(1, 80, 30)
    put(*lists)

    def work(number: int) -> None:
        with closing(PostgresQueue(batch_size=2)) as queue:
            processor(queue).run(until_applied=True)

    with caplog.at_level(logging.WARNING):
        at_once(work)
    assert "waits" not in caplog.text, "no deadlock that was tried again"
    assert balances() == added_up(row for rows in lists for row in rows)
    assert store.depth() == store.Depth(0, 0)
    expect_conserved()


def test_processors_that_all_get_all_messages_in_opposite_orders_never_deadlock_and_count_each_once() -> None:
    lists = hot_rows(2, 25, 30)
    batches = messages(*lists)

    def work(number: int) -> None:
        order = random.Random(number).sample(batches, len(batches))
        order.sort(key=lambda message: message.first_height, reverse=bool(number % 2))
        for start in range(0, len(order), 2):
            with transaction.atomic():
                apply(order[start : start + 2])

    at_once(work)
    assert balances() == added_up(row for rows in lists for row in rows)
    expect_conserved()


@pytest.mark.parametrize("tokens", [1, 90])
def test_tokens_and_accounts_that_several_processors_see_first_are_made_once(tokens: int) -> None:
    def row(height: int, step: int) -> Row:
        new = height * step
        return Row(height, step, 0, "", f"g1new{new % 400}", 1, f"gno.land/r/t{new % tokens}")

    def work(number: int) -> None:
        for first in range(0, 400, 8):
            with transaction.atomic():
                apply(messages([row(height, (1, 7, 11, 13)[number]) for height in range(first, first + 8)]))

    at_once(work)
    assert sum(balances().values()) == 1600
    assert Token.objects.count() == tokens
    expect_conserved()


def test_announcements_of_one_token_by_several_processors_are_all_counted() -> None:
    def work(number: int) -> None:
        for height in range(number, 40, PROCESSORS):
            packer = Packer(CHAIN, 262_144)
            packer.add_announcement(height, 0, 0, TOKEN, f"name at {height}", "FOO", 4)
            with transaction.atomic():
                apply([decode(packed.body(1), CHAIN) for packed in packer.messages()])

    at_once(work)
    token = Token.objects.get()
    assert (token.name, token.announcements) == ("name at 0", 40)


def test_two_processors_that_announce_one_token_at_the_same_moment_see_each_others_announcement() -> None:
    def announce(height: int) -> None:
        packer = Packer(CHAIN, 262_144)
        packer.add_announcement(height, 0, 0, TOKEN, f"name at {height}", "FOO", 4)
        with transaction.atomic():
            apply([decode(packed.body(1), CHAIN) for packed in packer.messages()])

    apply(messages([Row(0, 0, 0, "", "g1a", 1)]))  # the token is there already
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            announce(5)
            other = pool.submit(closing_connection, lambda: announce(3))
            until(waits, "the other processor waiting for this one")
        other.result(20)
    token = Token.objects.get()
    assert (token.name, token.announcements) == ("name at 3", 2)


def test_a_processor_whose_connections_are_cut_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balances.processor.RETRY_SECONDS", 0.05)
    queue = PostgresQueue()
    one = processor(queue)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(closing_connection, one.run)
        try:
            put([Row(1, 0, 0, "", "g1a", 1)])
            until(lambda: one.messages == 1, "the first message")
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                assert cursor.fetchone()[0] >= 2, "its connection and its bell's"
            put([Row(2, 0, 0, "", "g1a", 2)])
            until(lambda: one.messages == 2, "the second message")
        finally:
            one.stop.set()
        running.result(20)
    queue.close()
    assert balances() == {(TOKEN, "g1a"): 3}
