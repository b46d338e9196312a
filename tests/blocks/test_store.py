"""What the database does to the synchronizer: refused rows, lost connections, all or nothing."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from blocks import store
from blocks.models import Block, Chain, Transaction
from blocks.source.endpoint_url import parse_endpoints
from blocks.source.payloads import BlockAnswer, TransactionAnswer
from blocks.spans import Span
from blocks.sync.leadership import Leadership
from blocks.sync.synchronizer import Synchronizer
from events.models import OutboxMessage
from indexer_project import wiring
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import SMALL, Sync, assert_holds, coverage, record_nothing, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


def terminate_others() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        found: int = cursor.fetchone()[0]
        return found


def test_terminated_connections_are_made_again_and_nothing_is_lost(gnotest: Recording) -> None:
    with (
        ReplaySource(gnotest, start=200, blocks_per_second=300) as source,
        Sync(source.url, record=wiring.record_events, window_blocks=5) as running,
    ):
        for at in (20, 100, 210):
            wait_until(lambda at=at: Block.objects.count() > at)  # type: ignore[misc]  # a lambda in a loop
            assert terminate_others() >= 1
        wait_until(lambda: coverage() == [(0, 485)])
        assert running.alive
    assert_holds(gnotest)


def test_a_connection_lost_inside_the_storing_transaction_stores_nothing_and_is_made_again(short: Recording) -> None:
    lost: list[int] = []

    def lose(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        if not lost:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                lost.append(cursor.fetchone()[0])
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with ReplaySource(short) as source:
        sync(source.url, record=lose)
    assert lost
    assert_holds(short)


def test_losing_the_database_is_told_once(
    short: Recording, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is away for five tries in a row: one line says so."""
    monkeypatch.setattr("blocks.sync.synchronizer.RETRY_SECONDS", 0.02)
    away = [True] * 5
    wait = Leadership.wait

    def refused(leadership: Leadership, *arguments: Any) -> bool:
        if away:
            away.pop()
            raise OperationalError("connection refused")
        return wait(leadership, *arguments)

    monkeypatch.setattr(Leadership, "wait", refused)
    with ReplaySource(short) as source:
        sync(source.url)
    assert not away
    assert caplog.text.count("waits for the database") == 1
    assert_holds(short)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("another")])
def test_an_error_while_recording_stores_nothing_of_the_window(short: Recording, error: Exception) -> None:
    def fail(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        OutboxMessage.objects.create(first_height=0, last_height=0, transfers=1, body="{}")
        raise error

    with ReplaySource(short) as source, Sync(source.url, record=fail) as running:
        wait_until(lambda: running.error is not None or running.gaps())
        running.error = None  # whether it ends or goes on is not the question here
    assert coverage() == []
    assert not Block.objects.exists()
    assert not Transaction.objects.exists()
    assert not OutboxMessage.objects.exists()
    with ReplaySource(short) as source:
        sync(source.url)
    assert_holds(short)


def test_a_run_that_an_error_ends_leaves_nothing_behind(short: Recording) -> None:
    """Its heart does not beat on, or a standby would take a process that is ending for a leader that lives."""

    def fail(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        raise RuntimeError("a bug")

    before = set(threading.enumerate())
    with ReplaySource(short) as source, Sync(source.url, record=fail) as running:
        wait_until(lambda: running.error is not None or running.gaps())
        running.error = None
    left = [thread.name for thread in set(threading.enumerate()) - before]
    wait_until(lambda: not [t for t in set(threading.enumerate()) - before if t.is_alive()], 3, lambda: str(left))


@pytest.mark.parametrize("error", [DataError, IntegrityError])
def test_a_row_that_the_database_refuses_blocks_its_own_height_only(test5: Recording, error: type[Exception]) -> None:
    with_transactions = sorted({row["block_height"] for row in test5.transactions})
    low, middle, high = with_transactions[5], with_transactions[40], with_transactions[-5]
    bad = {low, middle, high}

    def refuse(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        if bad & {transaction.block_height for transaction in transactions}:
            raise error("value out of range")

    with ReplaySource(test5) as source, Sync(source.url, record=refuse) as running:
        wait_until(lambda: coverage() == [(0, low - 1), (low + 1, middle - 1), (middle + 1, high - 1), (high + 1, 205)])
        wait_until(lambda: set(running.gaps()) == bad)
        assert all("the database refuses it: value out of range" in reason for reason in running.gaps().values())
        bad.clear()
        wait_until(lambda: coverage() == [(0, 205)])
    assert_holds(test5)


def test_a_window_that_exceeds_a_limit_of_the_server_is_stored_in_parts(test5: Recording) -> None:
    refused: list[int] = []

    def limit(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        if len({transaction.block_height for transaction in transactions}) > 5:
            refused.append(len(transactions))
            cancel_statement()

    with ReplaySource(test5) as source:
        running = sync(source.url, record=limit)
    assert refused
    assert not running._retries.all(), "no height is to blame"
    assert_holds(test5)


def test_a_height_that_alone_exceeds_a_limit_is_waited_for(test5: Recording, caplog: pytest.LogCaptureFixture) -> None:
    small = [False]

    def limit(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
        if not small[0]:
            cancel_statement()

    with ReplaySource(test5) as source, Sync(source.url, record=limit) as running:
        wait_until(lambda: "waits for the database" in caplog.text)
        assert running.alive
        small[0] = True
        wait_until(lambda: whole(205))
    assert caplog.text.count("waits for the database") == 1
    assert_holds(test5)


def cancel_statement() -> None:
    """As the server does at its `statement_timeout`."""
    with connection.cursor() as cursor:
        cursor.execute("DO $$ BEGIN RAISE 'canceling statement' USING ERRCODE = '57014'; END $$")


def test_a_height_is_stored_with_its_messages_or_not_at_all(gnotest: Recording) -> None:
    """At every moment the outbox and the blocks agree: seen from another connection while the sync goes on."""
    with ReplaySource(gnotest) as source, Sync(source.url, record=wiring.record_events, window_blocks=3):
        seen: set[int] = set()
        while coverage() != [(0, 485)]:
            with connection.cursor() as cursor:  # one statement is one snapshot
                cursor.execute(
                    "SELECT (SELECT count(*) FROM blocks), (SELECT coalesce(sum(upper(r) - lower(r)), 0)"
                    " FROM unnest((SELECT coverage FROM chain)) r),"
                    " (SELECT coalesce(sum(num_txs), 0) FROM blocks), (SELECT count(*) FROM transactions),"
                    " (SELECT count(*) FROM outbox WHERE NOT EXISTS"
                    " (SELECT FROM blocks WHERE height BETWEEN first_height AND last_height))"
                )
                blocks, covered_heights, counted, transactions, orphans = cursor.fetchone()
            assert (blocks, counted, orphans) == (covered_heights, transactions, 0)
            seen.add(blocks)
    assert len(seen) > 3, "it was over too soon to see anything"
    assert OutboxMessage.objects.exists()


def test_a_second_synchronizer_stands_by_and_takes_over(test5: Recording) -> None:
    with ReplaySource(test5, start=50) as source:
        first = Sync(source.url)
        with first:
            wait_until(lambda: whole(49))
            asked = len(source.requests)
            with Sync(source.url) as second:
                first_requests = len(source.requests)
                source.advance(10)
                wait_until(lambda: whole(59))
                assert second.synchronizer.tip == -1, "the standby looks at the source"
                assert first_requests >= asked
                first.stop.set()
                first.synchronizer.wake.set()
                source.advance(10)
                wait_until(lambda: whole(69), 3)
                assert second.synchronizer.tip == 69
    assert_holds(test5, 0, 69)


def test_a_synchronizer_that_waits_to_lead_stops_when_told(short: Recording) -> None:
    with ReplaySource(short) as source, Sync(source.url):
        wait_until(lambda: whole(59))
        with Sync(source.url) as second:
            wait_until(lambda: second.alive)
            second.stop.set()
            wait_until(lambda: not second.alive, 3)


def test_the_lock_is_left_when_a_run_is_over(short: Recording) -> None:
    """In one process (a shell, a test, another command) a run may follow a run on another connection."""
    with ReplaySource(short) as source:
        mine = Synchronizer(replace(SMALL, urls=parse_endpoints([source.url])), record_nothing, threading.Event())
        try:
            mine.run(until_tip=True)
            with connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
                assert cursor.fetchone()[0] == 0
        finally:
            connection.close()


# store.py, without a source


def answers_of(recording: Recording, first: int, last: int) -> tuple[list[BlockAnswer], list[TransactionAnswer]]:
    blocks = [msgspec.convert(row, BlockAnswer) for row in recording.blocks if first <= row["height"] <= last]
    transactions = [
        msgspec.json.decode(json.dumps(row), type=TransactionAnswer)
        for row in recording.transactions
        if first <= row["block_height"] <= last
    ]
    return blocks, transactions


def in_transaction(work: Callable[[], object]) -> None:
    with transaction.atomic():
        work()


def test_inserting_twice_is_inserting_once(gnotest: Recording) -> None:
    blocks, transactions = answers_of(gnotest, 130, 134)
    store.adopt_chain(blocks[0], 0)
    for _ in range(2):
        in_transaction(lambda: store.insert_window(blocks, transactions))
        in_transaction(lambda: store.cover([Span(130, 134)], None))
    assert_holds(gnotest, 130, 134)


def test_an_empty_window_is_no_trouble() -> None:
    in_transaction(lambda: store.insert_window([], []))
    assert not Block.objects.exists()


def test_coverage_joins_what_touches_and_keeps_what_does_not(short: Recording) -> None:
    store.adopt_chain(answers_of(short, 0, 0)[0][0], 0)
    spans = Span
    assert store.cover([spans(5, 5), spans(0, 1)], None) == [(0, 1), (5, 5)]
    assert store.cover([spans(2, 3)], None) == [(0, 3), (5, 5)]
    assert store.cover([spans(4, 4)], "first") == [(0, 5)]
    assert store.cover([spans(0, 5)], None) == [(0, 5)]
    assert store.cover([spans(2**62, 2**62)], None) == [(0, 5), (2**62, 2**62)]
    assert Chain.objects.get().first_block_hash == "first"
    assert Chain.objects.get().coverage == [(0, 5), (2**62, 2**62)]


def test_a_chain_once_adopted_stays(short: Recording) -> None:
    first = store.adopt_chain(answers_of(short, 0, 0)[0][0], 3)
    second = store.adopt_chain(answers_of(short.as_other_chain(), 0, 0)[0][0], 9)
    assert (second.chain_id, second.start_height) == (first.chain_id, first.start_height) == ("test5", 3)


def test_the_tip_is_remembered_with_its_time(short: Recording) -> None:
    store.adopt_chain(answers_of(short, 0, 0)[0][0], 0)
    assert Chain.objects.get().tip_seen_at is None
    store.see_tip(2**62, level=True)
    chain = Chain.objects.get()
    assert chain.tip == 2**62
    assert chain.tip_seen_at is not None
