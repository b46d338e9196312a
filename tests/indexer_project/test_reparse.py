"""`manage.py reparse`: rules change, the stored transactions do not, and the ledger follows, while everything runs."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.test import Client
from pytest_django import DjangoDbBlocker, Settings

from balances.indexed_height import read_indexed_height
from balances.models import Token, Transfer
from balances.processor import Processor
from blocks.models import Chain, Transaction
from events import ledger_lock
from events.models import OutboxMessage, SetAsideMessage
from events.outbox import store
from events.queues.postgres import PostgresQueue
from events.queues.sqs.queue import SqsQueue
from events.queues.sqs.relay import Relay
from indexer_project import reparse as reparse_module
from replay.recording import Recording
from tests.balances.concurrent_worker import waits
from tests.balances.ledger_factories import drain, expect_conserved
from tests.balances.test_processor import Handed
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded
from tests.indexer_project.ledger_dump import expect_the_chains_own, ledger
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db]

NOBODY = ["gno.land/p/nobody/grc20"]


def reparse(*arguments: str, patience: int = 1) -> str:
    out = StringIO()
    call_command("reparse", *arguments, "--patience", str(patience), stdout=out)
    return out.getvalue()


def expect_nothing_to_change() -> None:
    (said,) = reparse().splitlines()
    assert said.startswith("0 of ")


Right = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def right(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Right:
    """The ledger of a recorded chain that was read by the right rules from the first."""
    found = {}
    with django_db_blocker.unblock():
        for name in ("gnotest-1", "test5-1"):
            around = transaction.atomic()
            around._from_testcase = True  # type: ignore[attr-defined]  # as Django's TestCase does: durable blocks may nest
            with around:
                fill_database(name)
                found[name] = ledger()
                transaction.set_rollback(True)
        connection.close()
    return found.__getitem__


# Rules that changed


def test_a_chain_read_with_signed_amounts_becomes_what_the_chain_says(settings: Settings, right: Right) -> None:
    expected = right("test5-1")
    settings.GRC20_UNSIGNED_AMOUNTS = "false"
    fill_database("test5-1")
    assert ledger() != expected
    settings.GRC20_UNSIGNED_AMOUNTS = "auto"
    assert "would change" in reparse("--dry-run")
    assert ledger() != expected, "a dry run changes nothing"
    assert "transfers +" in reparse()
    assert ledger() == expected
    expect_the_chains_own("test5-1")
    expect_nothing_to_change()


def test_a_chain_read_without_its_library_becomes_what_the_chain_says(settings: Settings, right: Right) -> None:
    expected = right("gnotest-1")
    settings.GRC20_LIBRARY_PATHS = NOBODY
    fill_database("gnotest-1")
    assert not Token.objects.filter(standard=True).exists()
    settings.GRC20_LIBRARY_PATHS = []
    reparse()
    assert ledger() == expected
    expect_the_chains_own("gnotest-1")
    expect_nothing_to_change()


def test_a_library_that_is_trusted_no_more_takes_its_tokens_with_it(settings: Settings, right: Right) -> None:
    settings.GRC20_LIBRARY_PATHS = NOBODY
    fill_database("gnotest-1")
    expected = ledger()
    settings.GRC20_LIBRARY_PATHS = []
    reparse()
    assert ledger() != expected
    settings.GRC20_LIBRARY_PATHS = NOBODY
    assert " -" in reparse()
    assert ledger() == expected, "as if they had never been believed, but for accounts"
    expect_conserved()
    expect_nothing_to_change()


def test_only_the_heights_asked_for_are_corrected(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 7)
    settings.GRC20_LIBRARY_PATHS = NOBODY
    fill_database("gnotest-1")
    settings.GRC20_LIBRARY_PATHS = []
    said = reparse("--from-height", "100", "--to-height", "135")
    assert "batches" in said
    heights = set(Transfer.objects.filter(token__standard=True).values_list("block_height", flat=True))
    assert heights
    assert min(heights) >= 100
    assert max(heights) <= 135
    expect_conserved()
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 1_000)
    reparse()
    expect_the_chains_own("gnotest-1")


# What somebody did by hand


def tamper_with_everything() -> None:
    with connection.cursor() as cursor:
        for statement in (
            "DELETE FROM transfers WHERE block_height = 133 AND event_index = 0",
            "UPDATE transfers SET amount = amount + 5 WHERE block_height = 120",
            "UPDATE transfers SET to_account_id = from_account_id WHERE from_account_id IS NOT NULL"
            " AND block_height BETWEEN 134 AND 150",
            "INSERT INTO transfers (block_height, tx_index, event_index, token_id, to_account_id, amount)"
            " SELECT 77, 99, 99, min(tokens.id), min(accounts.id), 1000 FROM tokens, accounts",
            "UPDATE balances SET amount = -amount WHERE account_id % 3 = 0",
            "DELETE FROM balances WHERE account_id % 3 = 1",
            "UPDATE token_totals SET minted = minted + 1, holders = holders + 3 WHERE token_id % 2 = 0",
            "DELETE FROM token_totals WHERE token_id % 5 = 1",
            "UPDATE announcements SET name = 'Forged' WHERE ctid = (SELECT min(ctid) FROM announcements)",
            "UPDATE tokens SET standard = NOT standard, name = 'Forged' WHERE id % 2 = 0",
            "DELETE FROM refused_events WHERE id % 2 = 0",
            "UPDATE refused_events SET reason = 'no_token'",
            "INSERT INTO refused_events (block_height, tx_index, event_index, emitter, type, reason, detail)"
            " VALUES (9, 9, 9, '', '', 'no_token', '')",
        ):
            cursor.execute(statement)


def test_what_was_tampered_with_is_corrected(right: Right) -> None:
    expected = right("gnotest-1")
    fill_database("gnotest-1")
    assert ledger() == expected
    tamper_with_everything()
    said = reparse()
    assert "balances and the totals of" in said
    assert ledger() == expected
    expect_nothing_to_change()


def test_a_correction_makes_a_new_version_of_every_answer(client: Client, settings: Settings) -> None:
    settings.STATIC_ROOT = None
    settings.WHITENOISE_USE_FINDERS = False
    fill_database("gnotest-1")
    etag = client.get("/tokens/balances").headers["ETag"]
    reparse()
    assert client.get("/tokens/balances").headers["ETag"] == etag
    Transfer.objects.filter(block_height=133).delete()
    reparse("--from-height", "133", "--to-height", "133")
    assert client.get("/tokens/balances").headers["ETag"] != etag


# What waits


def test_messages_that_wait_are_settled_and_old_copies_of_them_change_nothing(right: Right) -> None:
    expected = right("gnotest-1")
    chain = recorded("gnotest-1")
    store_heights(chain, 0, 130)
    apply_pending()
    store_heights(chain, 131, chain.heights[-1])
    waiting = list(OutboxMessage.objects.filter(applied_at=None))
    assert waiting
    store.set_aside("poison", waiting[0].id, waiting[0].body, "why")
    assert f"settled {len(waiting)}" in reparse()
    assert ledger() == expected
    assert store.depth() == store.Depth(0, 0), "a dead letter is settled too"
    assert read_indexed_height().height == chain.heights[-1]
    apply_pending()
    assert ledger() == expected
    expect_nothing_to_change()


def test_copies_of_settled_messages_that_say_what_the_old_rules_said_change_nothing(settings: Settings) -> None:
    chain = recorded("gnotest-1")
    store_heights(chain, 0, 200)
    store_heights(chain, 201, chain.heights[-1])
    bodies = list(OutboxMessage.objects.values_list("body", flat=True))
    settings.GRC20_LIBRARY_PATHS = NOBODY  # the library of those messages is believed no more
    reparse()
    expected = ledger()
    one = Processor(Handed(*bodies), lambda: chain.chain_id, threading.Event())
    drain(lambda: one.process_batch(0))
    assert ledger() == expected
    assert one.messages == 0
    assert not SetAsideMessage.objects.exists()


def test_a_batch_widens_to_whole_messages(monkeypatch: pytest.MonkeyPatch, right: Right) -> None:
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 3)
    chain = recorded("gnotest-1")
    store_heights(chain, 0, 120)
    store_heights(chain, 121, chain.heights[-1])
    said = reparse("--from-height", "50", "--to-height", "55")
    assert OutboxMessage.objects.filter(applied_at=None, first_height__lte=55).count() == 0
    assert "settled 1" in said
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 1_000)
    reparse()
    assert ledger() == right("gnotest-1")


def test_heights_that_are_not_stored_are_left_alone() -> None:
    fill_database("gnotest-1")
    before = ledger()["transfers"]
    Chain.objects.update(coverage=[(0, 119), (140, 485)])
    Transaction.objects.filter(block_height__range=(120, 139)).delete()
    reparse()
    assert ledger()["transfers"] == before, "what is not there cannot say that it never was"


def test_messages_that_wait_for_heights_not_stored_now_are_waited_for_and_then_said() -> None:
    store_heights(recorded("gnotest-1"), 0, 200)
    Chain.objects.update(coverage=[(0, 119), (125, 200)])
    with pytest.raises(CommandError, match=r"Gave up.*not all stored"):
        reparse()
    assert OutboxMessage.objects.filter(applied_at=None).exists()


def test_without_a_chain_or_beside_another_one_it_says_so(settings: Settings) -> None:
    with pytest.raises(CommandError, match="Nothing is stored yet"):
        reparse()
    for wrong in (["--from-height", "5", "--to-height", "4"], ["--from-height", "-1"]):
        with pytest.raises(CommandError, match="no range"):
            reparse(*wrong)


# Beside everything else


@pytest.fixture
def committed() -> Recording:
    """A recorded chain, for tests with several connections."""
    return recorded("gnotest-1")


def in_thread(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("back_end", ["postgres", pytest.param("sqs", marks=pytest.mark.sqs)])
def test_it_runs_beside_a_synchronizer_and_processors(
    back_end: str, request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = request.getfixturevalue("sqs_settings") if back_end == "sqs" else None
    step = 15 if sqs else 3  # a relay, and a queue in between, make everything slower
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", step + 2)
    if sqs:
        with closing(SqsQueue(sqs)) as made:
            made.dead_target()
    chain = recorded("gnotest-1")
    settings.GRC20_LIBRARY_PATHS = NOBODY
    store_heights(chain, 0, 150)
    apply_pending()
    settings.GRC20_LIBRARY_PATHS = []
    stop = threading.Event()

    def synchronize() -> None:
        for first in range(151, chain.heights[-1] + 1, step):
            with transaction.atomic():
                store_heights(chain, first, min(first + step - 1, chain.heights[-1]))

    def process() -> None:
        small = PostgresQueue(batch_size=random.Random(1).randrange(1, 3))
        with closing(SqsQueue(sqs) if sqs else small) as queue:
            Processor(queue, lambda: read_indexed_height().chain_id, stop, wait_seconds=0.05).run()

    def publish() -> None:
        assert sqs
        with closing(SqsQueue(sqs)) as queue:
            Relay(queue, 1, stop).run()

    with ThreadPoolExecutor(4) as pool:
        processors = [in_thread(pool, work) for work in (process, process, *([publish] if sqs else []))]
        synchronizer = in_thread(pool, synchronize)
        try:
            reparse(patience=30)  # a relay holds its rows for as long as SQS takes
            synchronizer.result(60)
            until(lambda: store.depth().pending == 0, "everything applied")
        finally:
            stop.set()
        for processor in processors:
            processor.result(20)
    expect_the_chains_own("gnotest-1")
    assert not SetAsideMessage.objects.exists()
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 1_000)
    expect_nothing_to_change()


@pytest.mark.django_db(transaction=True)
def test_processors_wait_while_a_batch_is_corrected_and_a_batch_does_not_wait_for_ever(
    committed: Recording,
) -> None:
    store_heights(committed, 0, 150)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            ledger_lock.close(1)
            applying = in_thread(pool, apply_pending)
            until(waits, "the processor at the gate")
            assert not Transfer.objects.exists()
        applying.result(20)
    assert Transfer.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_processor_that_hangs_is_waited_for_with_patience_and_then_said(
    committed: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reparse_module, "LOCK_SECONDS", 0.1)
    store_heights(committed, 0, 20)
    holding, release = threading.Event(), threading.Event()

    def hang() -> None:
        with closing(PostgresQueue()) as queue, queue.batch(0):
            holding.set()
            release.wait(20)

    with ThreadPoolExecutor(1) as pool:
        hanging = in_thread(pool, hang)
        try:
            assert holding.wait(20)
            with pytest.raises(CommandError, match=r"Gave up after 1 s.*processor"):
                reparse()
        finally:
            release.set()
        hanging.result(20)
    reparse()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_are_refused(committed: Recording) -> None:
    store_heights(committed, 0, 20)
    with ThreadPoolExecutor(1) as pool:
        assert ledger_lock.begin_correction()
        try:
            running = in_thread(pool, reparse)
            with pytest.raises(CommandError, match="Another reparse"):
                running.result(20)
        finally:
            ledger_lock.end_correction()
