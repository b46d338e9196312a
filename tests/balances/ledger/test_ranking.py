"""The list of holders: level with the balances, or honest about how far it is."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing

import pytest
from django.db import OperationalError, connection, transaction

from balances.indexed_height import read_indexed_height
from balances.ledger import ranking
from balances.ledger.apply import apply
from balances.ledger.token_metadata import Announced, announce
from balances.models import Balance, Ranking
from events import ledger_lock
from events.queues.postgres import PostgresQueue
from postgres.locks import Lock
from tests.balances.concurrent_worker import somebody
from tests.balances.ledger_factories import drain, expect_conserved, messages, processor, put, start_chain
from tests.events.factories import Row

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "gno.land/r/demo/other.OTHER.0000000"


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "AT_ONCE", 3)
    monkeypatch.setattr(ranking, "CHUNK_PAGES", 1)


@pytest.fixture(autouse=True)
def chain() -> None:
    start_chain([(0, 100)])


def movements(height: int, number: int) -> list[Row]:
    """Mints to `number` accounts, whose amounts differ by height."""
    return [Row(height, 0, event, "", f"g1{event}", height * 10 + event) for event in range(number)]


def of_others(height: int, number: int) -> list[Row]:
    """As `movements`, of a token and accounts that those do not meet."""
    return [Row(height, 0, event, "", f"g1other{event}", event + 1, token=OTHER) for event in range(number)]


def moved(rows: list[Row]) -> None:
    """Apply `rows` as one message, in a transaction of its own."""
    with transaction.atomic():
        apply(messages(rows))


def state() -> str:
    row = Ranking.objects.first()
    return "level" if row is None else row.state


def ranked() -> list[tuple[str | None, int | None]]:
    rows = Balance.objects.order_by("account_id").values_list("address", "ranked_amount")
    return [(address, None if amount is None else int(amount)) for address, amount in rows]


def never() -> threading.Event:
    return threading.Event()


def test_few_transfers_are_ranked_in_the_same_transaction() -> None:
    moved(movements(1, 3))
    assert (state(), ranked()) == ("level", [("g10", 10), ("g11", 11), ("g12", 12)])


def test_many_transfers_leave_the_list_behind_and_say_how_far_it_is_true() -> None:
    put(movements(5, 2))
    with closing(PostgresQueue()) as queue:
        one = processor(queue)
        drain(lambda: one.process_batch(0))
        put(movements(9, 5))
        assert read_indexed_height().height == 8
        drain(lambda: one.process_batch(0))
    seen = read_indexed_height()
    assert (state(), seen.height, seen.ranked) == ("behind", 100, 8)
    assert ranked() == [("g10", 50), ("g11", 51), (None, None), (None, None), (None, None)]


def test_a_pass_makes_the_list_level_and_a_second_one_is_not_needed() -> None:
    moved(movements(9, 5))
    assert ranking.catch_up(never(), ranking.NOW)
    assert (state(), ranked()) == ("level", [(f"g1{n}", 90 + n) for n in range(5)])
    assert read_indexed_height().ranked == read_indexed_height().height == 100
    assert not ranking.catch_up(never(), ranking.NOW)
    expect_conserved()


def test_few_transfers_while_the_list_is_behind_are_ranked_and_it_stays_behind() -> None:
    moved(movements(1, 5))
    moved(movements(2, 1))
    assert state() == "behind"
    assert ranked()[:2] == [("g10", 30), (None, None)]


def test_a_batch_that_begins_during_a_pass_keeps_the_list_behind() -> None:
    moved(movements(1, 5))

    class Once:
        """Applies a large batch after the pass has begun; stands for a processor beside it."""

        done = False

        def is_set(self) -> bool:
            if not self.done:
                self.done = True
                moved(movements(2, 5))
            return False

    assert ranking.catch_up(Once(), ranking.NOW)  # type: ignore[arg-type]  # all that a pass asks of an event
    assert state() == "behind", "what was moved in between may have been passed already"
    assert read_indexed_height().ranked == 1, "and it was below what the pass was to reach"
    assert ranking.catch_up(never(), ranking.NOW)
    assert state() == "level"
    expect_conserved()


def halfway(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> AbstractContextManager[None]:
    """Somebody else has moved the balances of `rows` and is not done; when this ends, he commits."""

    def work(pause: Callable[[], None]) -> None:
        me = threading.current_thread()

        def hold(announced: list[Announced]) -> None:
            if threading.current_thread() is me:
                pause()
            announce(announced)

        monkeypatch.setattr("balances.ledger.apply.announce", hold)
        moved(rows)

    return somebody(work)


def test_many_transfers_do_not_wait_for_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    moved(movements(1, 1))
    moved(of_others(1, 1))
    with halfway(movements(2, 5), monkeypatch), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '10s'")
        apply(messages(of_others(3, 5)))
    assert (state(), Ranking.objects.get().indexed_height) == ("behind", 1)
    expect_conserved()


def test_a_batch_that_ends_after_a_pass_puts_the_list_behind_again(monkeypatch: pytest.MonkeyPatch) -> None:
    moved(movements(1, 5))
    with halfway(of_others(2, 5), monkeypatch):
        assert ranking.catch_up(never(), ranking.NOW)
        assert state() == "level"
    assert (state(), Ranking.objects.get().indexed_height) == ("behind", 1)
    assert ranking.catch_up(never(), ranking.NOW)
    assert None not in {amount for _, amount in ranked()}


def test_a_pass_that_was_stopped_is_begun_anew() -> None:
    moved(movements(1, 5))
    stop = threading.Event()
    stop.set()
    assert not ranking.catch_up(stop, ranking.NOW)
    assert state() == "passing"
    assert ranking.catch_up(never(), ranking.NOW)
    assert state() == "level"


def test_a_pass_waits_for_whoever_applies_and_gives_up_with_an_error_in_time() -> None:
    moved(movements(1, 5))

    def work(pause: Callable[[], None]) -> None:
        with transaction.atomic():
            ledger_lock.pass_through()
            pause()

    with somebody(work), pytest.raises(OperationalError):
        ranking.catch_up(never(), ranking.NOW, lock_seconds=0.1)
    assert state() == "behind"


@pytest.fixture
def another_pass() -> Iterator[None]:
    """Somebody else is passing over the balances."""

    def work(pause: Callable[[], None]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT pg_advisory_lock({Lock.RANKING.key})")
        pause()

    with somebody(work):
        yield


def test_a_gap_that_is_filled_late_by_many_takes_back_how_far_the_list_is_true() -> None:
    put(movements(50, 5))
    with closing(PostgresQueue()) as queue:
        one = processor(queue)
        drain(lambda: one.process_batch(0))
    assert Ranking.objects.get().indexed_height == 49
    moved(movements(20, 5))
    assert Ranking.objects.get().indexed_height == 19


@pytest.mark.usefixtures("another_pass")
def test_one_passes_at_a_time() -> None:
    moved(movements(1, 5))
    assert not ranking.catch_up(never(), ranking.NOW)


def test_with_a_backlog_the_next_pass_waits() -> None:
    moved(movements(1, 5))
    assert not ranking.catch_up(never(), ranking.BUSY)
    assert ranking.catch_up(never(), ranking.IDLE)


def test_a_processor_with_nothing_left_to_do_ranks() -> None:
    put(movements(1, 5), movements(2, 5))
    with closing(PostgresQueue()) as queue:
        processor(queue).run(until_applied=True)
    assert state() == "level"
    expect_conserved()
