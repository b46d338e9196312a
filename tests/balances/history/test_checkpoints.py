"""Checkpoints against every transfer added up: at every height, whatever changes, and whoever dies on the way."""

import random
import threading
from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from balances.history import checkpoints, point_in_time
from balances.indexed_height import read_indexed_height
from balances.models import BalanceCheckpoint, CheckpointMark, CheckpointWalk, Transfer
from balances.reconciliation.audit import audit
from blocks import gaps
from blocks.models import Chain
from blocks.spans import Span
from events.outbox import store
from tests.balances.history_factories import every_height, held_by, longest_stretch, walk, zipf_rows
from tests.balances.ledger_factories import apply_all, put, start_chain
from tests.chains import fill_database
from tests.events.factories import Row

pytestmark = [pytest.mark.django_db, pytest.mark.db]

TABLES = (
    "chain, accepted_gaps, outbox, tokens, token_totals, accounts, transfers, balances, checkpoint_walk,"
    " checkpoint_counts, checkpoint_marks, balance_checkpoints"
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    def set_sizes(stretch: int, batch: int) -> None:
        monkeypatch.setattr(checkpoints, "STRETCH", stretch)
        monkeypatch.setattr(checkpoints, "BATCH", batch)

    return set_sizes


def expect_the_past(last: int, every: int = 1) -> None:
    """Every pair at each of these heights is the sum of its transfers, and what had not moved by then is not there."""
    with connection.cursor() as cursor:
        # What is rolled back after each test is no good example of what the tables hold.
        cursor.execute("ANALYZE transfers, checkpoint_marks, balance_checkpoints")
    pairs = list(held_by(last))
    for height, held in every_height(range(-1, last + 1, every)).items():
        assert point_in_time.amounts_at(height, pairs) == held, height


def expect_right(last: int, stretch: int, every: int = 1) -> None:
    expect_the_past(last, every)
    assert [found for found in audit(deep=True).breaks if found.kind == "checkpoint"] == []
    assert longest_stretch() < stretch


def history(chance: random.Random, last: int) -> None:
    start_chain([(0, last)])
    put(zipf_rows(chance, 0, last))
    apply_all()


@pytest.mark.parametrize(("name", "stretch", "batch"), [("gnotest-1", 3, 40), ("test5-1", 8, 7)])
def test_a_recorded_chain_at_every_height(
    small: Callable[[int, int], None], name: str, stretch: int, batch: int
) -> None:
    small(stretch, batch)
    recording = fill_database(name)
    assert walk() > 10
    assert CheckpointMark.objects.filter(account_id=checkpoints.NOBODY).exists()
    expect_right(recording.heights[-1], stretch)


@pytest.mark.parametrize("stretch", [1, 2, 5, 17])
def test_a_skewed_history_that_is_walked_while_it_grows(small: Callable[[int, int], None], stretch: int) -> None:
    chance = random.Random(stretch)
    small(stretch, 23)
    start_chain([])
    for first in range(0, 120, 30):
        Chain.objects.update(coverage=[(0, first + 29)])
        put(zipf_rows(chance, first, first + 29))
        apply_all()
        for _ in range(chance.randrange(8)):
            checkpoints.step()
        expect_the_past(first + 29)
    walk()
    assert CheckpointWalk.objects.get().height == 119
    expect_right(119, stretch)


def test_a_height_with_more_transfers_than_a_batch_is_walked_as_one(small: Callable[[int, int], None]) -> None:
    small(4, 3)
    start_chain([(0, 9)])
    put([Row(height, 0, index, "g1a", f"g1{index}", 1) for height in (2, 5) for index in range(10)])
    apply_all()
    walk()
    expect_right(9, 4)


def test_nothing_is_walked_above_the_indexed_height(small: Callable[[int, int], None]) -> None:
    small(1, 100)
    history(random.Random(0), 50)
    put([Row(25, 0, 9, "", "g1a", 1)])
    walk()
    assert CheckpointWalk.objects.get().height == 24
    apply_all()
    walk()
    assert CheckpointWalk.objects.get().height == 50
    expect_right(50, 1)


def test_a_gap_that_was_accepted_and_is_filled_after_all(small: Callable[[int, int], None]) -> None:
    small(3, 20)
    start_chain([(0, 29), (41, 80)])
    put(zipf_rows(random.Random(1), 0, 29), zipf_rows(random.Random(2), 41, 80))
    apply_all()
    gaps.accept(Span(30, 40), "nobody has it")
    walk()
    assert CheckpointMark.objects.filter(block_height__gt=40).exists()
    Chain.objects.update(coverage=[(0, 80)])
    put(zipf_rows(random.Random(3), 30, 40))
    apply_all()
    expect_the_past(80)
    for _ in range(3):
        checkpoints.step()
    expect_the_past(80)
    walk()
    expect_right(80, 3)


def test_messages_of_heights_that_nobody_looked_at_yet_are_not_late(small: Callable[[int, int], None]) -> None:
    small(1, 100)
    start_chain([(0, 80)])
    put(zipf_rows(random.Random(4), 0, 40))
    apply_all()
    walk()
    Chain.objects.update(coverage=[(0, 160)])
    put(zipf_rows(random.Random(5), 81, 160))
    apply_all()
    assert not CheckpointWalk.objects.get().stale
    assert CheckpointWalk.objects.get().height == 80


@pytest.mark.parametrize("seed", range(3))
def test_transfers_that_are_corrected_at_any_height(small: Callable[[int, int], None], seed: int) -> None:
    chance = random.Random(seed)
    small(4, 30)
    history(chance, 90)
    for _ in range(6):
        for _ in range(chance.randrange(20)):
            checkpoints.step()
        height = chance.choice(list(Transfer.objects.values_list("block_height", flat=True)))
        with transaction.atomic():
            Transfer.objects.filter(block_height=height).update(amount=chance.randrange(1000))
            Transfer.objects.filter(block_height__gt=height, event_index=0, amount__lt=5).delete()
            checkpoints.forget(height)
        expect_the_past(90, every=7)
    walk()
    expect_right(90, 4, every=3)


def test_reparse_forgets_what_was_known_of_what_it_corrects(small: Callable[[int, int], None]) -> None:
    small(3, 50)
    recording = fill_database("gnotest-1")
    wrong = Transfer.objects.filter(block_height__gte=100).order_by("block_height")[3].block_height
    Transfer.objects.filter(block_height=wrong).update(amount=77)
    walk()
    call_command("reparse", "--patience", "1", stdout=StringIO())
    expect_the_past(recording.heights[-1], every=11)
    walk()
    expect_right(recording.heights[-1], 3, every=7)


class Killed(Exception):
    pass


def test_killed_at_any_statement_the_next_walker_goes_on(small: Callable[[int, int], None]) -> None:
    chance = random.Random(7)
    small(3, 25)
    history(chance, 60)

    def die_at(number: int) -> Callable[..., Any]:
        left = [number]

        def run(execute: Callable[..., Any], *arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return execute(*arguments)

        return run

    kills = 0
    for number in range(12):
        for _ in range(4):
            try:
                with connection.execute_wrapper(die_at(number)):
                    checkpoints.step()
            except Killed:
                kills += 1
            if chance.random() < 0.2:
                checkpoints.forget(chance.randrange(60))
    assert kills > 20
    walk()
    expect_right(60, 3)


@pytest.mark.parametrize("change", [{"balance": 5}, None])
def test_the_audit_finds_a_checkpoint_that_is_wrong_or_missing(
    small: Callable[[int, int], None], change: dict[str, int] | None
) -> None:
    small(2, 50)
    history(random.Random(8), 40)
    walk()
    one = BalanceCheckpoint.objects.exclude(account_id=checkpoints.NOBODY).exclude(balance__in=(0, 5))[:1].get()
    same = BalanceCheckpoint.objects.filter(pk=one.pk)
    expected = int(one.balance)
    same.delete() if change is None else same.update(**change)
    (found,) = (found for found in audit(deep=True).breaks if found.kind == "checkpoint")
    assert (found.found, found.expected) == ((change or {"balance": 0})["balance"], expected)
    assert found.address.startswith("g1")
    checkpoints.forget(0)
    walk()
    assert [found for found in audit(deep=True).breaks if found.kind == "checkpoint"] == []


@pytest.mark.django_db(transaction=True)
def test_what_changes_under_a_walker_makes_it_begin_again(
    small: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small(2, 20)
    for change in (fill_the_gap, correct):
        for work in ("_count", "_mark", "_clean"):
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE {TABLES}")
            start_chain([(0, 19), (31, 60)])
            put(zipf_rows(random.Random(1), 0, 19), zipf_rows(random.Random(2), 31, 60))
            apply_all()
            gaps.accept(Span(20, 30), "nobody has it")
            walk()
            if work == "_clean":
                checkpoints.forget(33)
            else:
                Chain.objects.update(coverage=[(0, 19), (31, 90)])
                put(zipf_rows(random.Random(3), 61, 90))
                apply_all()
            with monkeypatch.context() as patch:
                changed = change_under(work, change, patch)
                while not changed:
                    assert checkpoints.step()
            assert CheckpointWalk.objects.get().height < 20, "what was made meanwhile is rolled back"
            expect_the_past(60, every=9)
            walk()
            expect_right(60, 2, every=5)


def fill_the_gap() -> None:
    Chain.objects.update(coverage=[(0, 90)])
    put(zipf_rows(random.Random(4), 20, 30))
    apply_all()


def correct() -> None:
    with transaction.atomic():
        Transfer.objects.filter(block_height__range=(15, 50)).update(amount=3)
        checkpoints.forget(15)


def change_under(work: str, change: Callable[[], None], patch: pytest.MonkeyPatch) -> list[bool]:
    """Have `change` happen elsewhere when a walker begins with `work`, once; true is added to the list then."""
    done: list[bool] = []
    before = getattr(checkpoints, work)

    def change_and_work(*arguments: int) -> Any:
        # The walker has its snapshot by now.
        if not done:
            done.append(True)
            elsewhere(change)
        return before(*arguments)

    patch.setattr(checkpoints, work, change_and_work)
    return done


@pytest.mark.django_db(transaction=True)
def test_who_applies_while_a_walker_says_how_far_it_goes(
    small: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    small(2, 1000)
    start_chain([(0, 19), (31, 60)])
    put(zipf_rows(random.Random(1), 0, 19), zipf_rows(random.Random(2), 31, 60))
    apply_all()
    walk()
    gaps.accept(Span(20, 30), "nobody has it")
    looked, commit = threading.Event(), threading.Event()
    mark_applied = store.mark_applied

    def wait_and_mark(ids: Sequence[int]) -> None:
        # By now it has looked how far walkers go.
        looked.set()
        assert commit.wait(20)
        mark_applied(ids)

    monkeypatch.setattr(store, "mark_applied", wait_and_mark)
    applying = threading.Thread(target=lambda: closing_connection(fill_the_gap))

    def read_and_let_him_begin() -> Any:
        indexed_height = read_indexed_height()
        if not looked.is_set():
            applying.start()
            assert looked.wait(20)
        return indexed_height

    monkeypatch.setattr(checkpoints, "read_indexed_height", read_and_let_him_begin)
    try:
        assert checkpoints.step()
        assert CheckpointWalk.objects.get().claimed == 60
        walk()
        assert CheckpointWalk.objects.get().height == 19, "what he applies is pending"
    finally:
        commit.set()
        applying.join()
    Chain.objects.update(coverage=[(0, 60)])
    walk()
    expect_right(60, 2, every=5)


@pytest.mark.django_db(transaction=True)
def test_one_walker_at_a_time(small: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch) -> None:
    small(1, 100)
    history(random.Random(1), 30)
    count = checkpoints._count
    said: list[bool] = []

    def let_another_try(height: int, claimed: int) -> None:
        elsewhere(lambda: said.append(checkpoints.step()))
        count(height, claimed)

    monkeypatch.setattr(checkpoints, "_count", let_another_try)
    walk()
    assert set(said) == {False}
    expect_right(30, 1)


def elsewhere(work: Callable[[], object]) -> None:
    """Do `work` on a connection of its own, and wait for it."""
    thread = threading.Thread(target=lambda: closing_connection(work))
    thread.start()
    thread.join()


def closing_connection(work: Callable[[], object]) -> None:
    try:
        work()
    finally:
        connection.close()
