"""Dropping heights: nothing is left from the first one on, and the ledger is that of the heights below."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cache
from typing import Any

import pytest
from django.db import connection, transaction

from balances.history import checkpoints
from balances.indexed_height import read_indexed_height
from balances.models import BalanceCheckpoint
from balances.processor import Processor
from balances.reconciliation.audit import audit
from blocks.incomplete_blocks import holes
from blocks.models import AcceptedGap, Block, Chain, IncompleteRange, Transaction
from events import ledger_lock
from events.models import OutboxMessage, RefusedEvent, SetAsideMessage
from events.outbox import store
from events.outbox.message import decode
from events.queues.postgres import PostgresQueue
from indexer_project import fork_removal as dropping
from indexer_project.fork_removal import drop_heights
from indexer_project.reparse import ReparseImpossible
from tests.balances.ledger_factories import balances, drain, expect_conserved
from tests.balances.test_processor import Handed
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded
from tests.indexer_project.ledger_dump import expect_the_chains_own, ledger
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db]

NAME = "gnotest-1"
TIP = 485
FIRST = 133
"""A height with transfers, in the middle."""


@cache
def ledger_below(height: int) -> dict[str, Any]:
    """The ledger of the heights below one, which never saw another height; to be called while nothing is stored."""
    if not height:
        return ledger()
    savepoint = transaction.savepoint()
    fill_database(NAME, last=height - 1)
    found = ledger()
    transaction.savepoint_rollback(savepoint)
    return found


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropping, "BATCH_HEIGHTS", 40)
    monkeypatch.setattr(dropping, "BATCH_TRANSACTIONS", 30)
    monkeypatch.setattr(dropping, "BATCH_TRANSFERS", 20)


def added_up(bodies: list[str], below: int) -> dict[tuple[str, str], int]:
    """What is held by these messages, in plain Python."""
    held: Counter[tuple[str, str]] = Counter()
    for body in bodies:
        message = decode(body, NAME_ON_CHAIN)
        for height, _, _, token, sender, recipient, amount in message.transfers:
            if height < below:
                for account, change in ((sender, -int(amount)), (recipient, int(amount))):
                    if account >= 0:
                        held[message.tokens[token][0], message.accounts[account]] += change
    return {pair: amount for pair, amount in held.items() if amount}


NAME_ON_CHAIN = recorded(NAME).chain_id


def expect_nothing_from(first: int) -> None:
    assert not Block.objects.filter(height__gte=first).exists()
    assert not Transaction.objects.filter(block_height__gte=first).exists()
    assert not RefusedEvent.objects.filter(block_height__gte=first).exists()
    assert not OutboxMessage.objects.filter(last_height__gte=first).exists()
    chain = Chain.objects.get()
    assert chain.coverage == ([(0, first - 1)] if first else [])
    assert (chain.conflict, chain.conflict_height, chain.conflict_stored) == ("", None, False)


def refill(first: int) -> None:
    store_heights(recorded(NAME), first, TIP)
    apply_pending()
    expect_the_chains_own(NAME)
    assert not [each for each in audit(deep=True).breaks if each.kind != "negative"]


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("first", [0, 1, FIRST, TIP])
def test_a_dropped_chain_holds_what_it_held_before_these_heights_and_fills_up_again(first: int) -> None:
    expected = ledger_below(first)
    fill_database(NAME)
    bodies = list(OutboxMessage.objects.values_list("body", flat=True))
    before = read_indexed_height()
    stored = Block.objects.filter(height__gte=first).count()
    done = drop_heights(first, 1)
    assert (done.first, done.blocks, done.transfers > 0) == (first, stored, first < TIP)
    expect_nothing_from(first)
    assert ledger() == expected
    assert balances() == added_up(bodies, first)
    expect_conserved()
    after = read_indexed_height()
    assert after.generation > before.generation
    assert after.height == first - 1
    assert bool(Chain.objects.get().first_block_hash) == (first > 1)
    refill(first)


def test_heights_above_all_that_is_stored_change_nothing() -> None:
    fill_database(NAME)
    before = ledger()
    assert drop_heights(TIP + 1, 1) == dropping.DroppedHeights(TIP + 1)
    assert ledger() == before
    assert read_indexed_height().height == TIP


def test_without_a_chain_there_is_nothing_to_drop() -> None:
    assert drop_heights(0, 1) == dropping.DroppedHeights(0)


@pytest.mark.usefixtures("small_batches")
def test_messages_that_wait_across_the_first_height_still_move_what_is_below() -> None:
    expected = ledger_below(FIRST)
    fill_database(NAME, last=119)
    store_heights(recorded(NAME), 120, 200)
    store_heights(recorded(NAME), 201, TIP)
    bodies = list(OutboxMessage.objects.filter(applied_at=None).values_list("body", flat=True))
    assert OutboxMessage.objects.filter(applied_at=None, first_height__lt=FIRST, last_height__gte=FIRST).exists()
    drop_heights(FIRST, 1)
    expect_nothing_from(FIRST)
    assert ledger() == expected
    assert store.depth().pending == 0
    copies = Processor(Handed(*bodies), lambda: NAME_ON_CHAIN, threading.Event())
    drain(lambda: copies.process_batch(0))
    assert ledger() == expected, "copies of dropped messages are in the queue still"
    assert not SetAsideMessage.objects.exists()
    refill(FIRST)


def test_a_height_below_whose_transactions_are_gone_keeps_what_the_message_tells_of_it() -> None:
    expected = ledger_below(FIRST)
    fill_database(NAME, last=119)
    store_heights(recorded(NAME), 120, TIP)
    Transaction.objects.filter(block_height__in=(122, 126, 127)).delete()
    Chain.objects.update(coverage=[(0, 125), (127, TIP)])
    drop_heights(FIRST, 1)
    assert ledger() == expected
    expect_conserved()


@pytest.mark.usefixtures("small_batches")
def test_a_kill_between_two_batches_leaves_whole_heights_and_a_second_run_finishes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = ledger_below(FIRST)
    fill_database(NAME)
    whole, batches = dropping._drop_batch, list[tuple[int, dict[str, int]]]()

    def killed(first: int) -> tuple[int, dict[str, int]]:
        if len(batches) == 3:
            raise KeyboardInterrupt
        batches.append(whole(first))
        return batches[-1]

    monkeypatch.setattr(dropping, "_drop_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        drop_heights(FIRST, 1)
    lowest = batches[-1][0]
    assert FIRST < lowest < TIP
    assert Chain.objects.get().coverage == [(0, lowest - 1)]
    assert holes(0, TIP) == []
    expect_conserved()
    indexed_height = read_indexed_height()
    assert (indexed_height.height, indexed_height.conflict_stored) == (FIRST - 1, True), (
        "nothing is answered from what is left"
    )
    assert "begin it again" in indexed_height.conflict
    monkeypatch.setattr(dropping, "_drop_batch", whole)
    drop_heights(FIRST, 1)
    expect_nothing_from(FIRST)
    assert ledger() == expected


def test_what_is_said_of_dropped_heights_goes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "STRETCH", 5)
    fill_database(NAME)
    drain(lambda: int(checkpoints.step()))
    assert BalanceCheckpoint.objects.filter(block_height__gte=FIRST).exists()
    for first, last in ((3, 5), (FIRST - 3, FIRST + 3), (FIRST + 9, FIRST + 9)):
        said = {"first_height": first, "last_height": last, "reason": "lost"}
        AcceptedGap.objects.create(**said)
        IncompleteRange.objects.create(**said, attempts=7, asked_at="2026-01-01T00:00:00Z")
    store_heights(recorded(NAME), FIRST, FIRST + 10)
    told = OutboxMessage.objects.filter(applied_at=None).get()
    store.set_aside("poison", told.id, told.body, "why")
    Chain.objects.update(
        conflict="two blocks", conflict_height=FIRST + 1, conflict_stored=True, first_height=FIRST + 2,
        first_height_proven=True,
    )  # fmt: skip
    drop_heights(FIRST, 1)
    expect_nothing_from(FIRST)
    for rows in (AcceptedGap.objects, IncompleteRange.objects):
        ranges = rows.order_by("first_height").values_list("first_height", "last_height")
        assert list(ranges) == [(3, 5), (FIRST - 3, FIRST - 1)]
    assert not SetAsideMessage.objects.exists(), "or it would count as applied"
    chain = Chain.objects.get()
    assert (chain.first_height, chain.first_height_proven) == (None, False)
    AcceptedGap.objects.all().delete()
    refill(FIRST)
    drain(lambda: int(checkpoints.step()))
    assert not [each for each in audit(deep=True).breaks if each.kind == "checkpoint"]


def test_a_conflict_below_stays() -> None:
    fill_database(NAME)
    Chain.objects.update(conflict="two blocks", conflict_height=9, conflict_stored=True)
    drop_heights(FIRST, 1)
    chain = Chain.objects.get()
    assert (chain.conflict, chain.conflict_height, chain.conflict_stored) == ("two blocks", 9, True)
    drop_heights(9, 1)
    assert Chain.objects.get().conflict == ""


# Beside everything else


def in_thread(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


@pytest.fixture
def processors() -> Iterator[list[Any]]:
    """Two processors at work."""
    stop = threading.Event()

    def process() -> None:
        with closing(PostgresQueue(batch_size=2)) as queue:
            Processor(queue, lambda: read_indexed_height().chain_id, stop, wait_seconds=0.05).run()

    with ThreadPoolExecutor(2) as pool:
        running = [in_thread(pool, process) for _ in range(2)]
        yield running
        stop.set()
        for each in running:
            each.result(20)


@pytest.mark.usefixtures("small_batches", "processors")
@pytest.mark.django_db(transaction=True)
def test_heights_are_dropped_while_processors_apply_them_and_windows_are_stored() -> None:
    chain = recorded(NAME)

    def synchronize() -> None:
        for first in range(0, TIP + 1, 9):
            with transaction.atomic():
                store_heights(chain, first, min(first + 8, TIP))

    with ThreadPoolExecutor(1) as pool:
        storing = in_thread(pool, synchronize)
        until(lambda: read_indexed_height().height > FIRST, "something to drop")
        for first in (FIRST, FIRST - 20, FIRST + 30):
            drop_heights(first, 30)
            expect_conserved()
        storing.result(60)
    drop_heights(FIRST - 20, 30)
    expect_nothing_from(FIRST - 20)
    with transaction.atomic():
        store_heights(chain, FIRST - 20, TIP)
    until(lambda: read_indexed_height().height == TIP, "everything applied")
    expect_the_chains_own(NAME)
    assert not SetAsideMessage.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_beside_another_correction_it_is_refused() -> None:
    store_heights(recorded(NAME), 0, 20)
    with ThreadPoolExecutor(1) as pool:
        assert ledger_lock.begin_correction()
        try:
            with pytest.raises(ReparseImpossible, match="Another reparse"):
                in_thread(pool, lambda: drop_heights(5, 1)).result(20)
        finally:
            ledger_lock.end_correction()
