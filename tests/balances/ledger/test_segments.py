"""Segments: every transfer is in that of its height, another one begins when one is full, and nobody is in between."""

import random
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import pairwise

import pytest
from django.db import connection, transaction

from balances.history import checkpoints, point_in_time
from balances.ledger import segments
from balances.models import Token, Transfer, TransferSegment
from balances.queries.account_summary import summary
from balances.queries.filters import TransferFilters
from balances.queries.page import PageRequest
from balances.queries.transfers import transfers
from blocks.models import AcceptedGap, Chain
from events import ledger_lock
from events.queues.postgres import PostgresQueue
from tests.balances.concurrent_worker import closing_connection, somebody, waits
from tests.balances.history_factories import every_height, walk, zipf_rows
from tests.balances.ledger_factories import apply_all, drain, expect_conserved, processor, put, start_chain
from tests.events.factories import Row
from tests.polling import until

pytestmark = [pytest.mark.db, pytest.mark.django_db]

NEVER = 1 << 60


@pytest.fixture(autouse=True)
def when_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """None begins by itself. The table is as small as what is in it: what other tests rolled back is room in it."""
    monkeypatch.setattr(segments, "LEAST_BYTES", NEVER)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE transfers")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch, when_it_is_said: None) -> None:
    """Any segment that has grown is full."""
    monkeypatch.setattr(segments, "LEAST_BYTES", 1)


def apply_rows(*lists: Iterable[Row]) -> None:
    put(*lists)
    apply_all()


def mints(*heights: int) -> list[Row]:
    return [Row(height, 0, 0, "", "g1a", height) for height in heights]


def begins() -> list[int]:
    """Where segments begin, but for the first one."""
    return segments.first_heights()[1:]


def where() -> dict[int, int]:
    """Height → segment, of every transfer."""
    return dict(Transfer.objects.order_by("block_height").values_list("block_height", "segment"))


def begin(height: int) -> bool:
    """As a processor that has applied `height`, where any segment is full."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segments, "LEAST_BYTES", 0)
        patched.setattr(segments, "SHARE", NEVER)
        return segments.begin_another(height)


def test_there_is_one_until_it_is_full() -> None:
    start_chain()
    apply_rows(mints(1, 5))
    assert (begins(), where(), segments.first_heights()) == ([], {1: 0, 5: 0}, [0])


def test_a_processor_begins_another_above_what_is_applied(full: None) -> None:
    start_chain()
    apply_rows(mints(1, 5))
    assert begins() == [6]
    apply_rows(mints(6, 9))
    assert where() == {1: 0, 5: 0, 6: 6, 9: 6}
    assert len(begins()) == 1, "the new one has not grown by a page"


def test_the_longer_the_history_the_more_fits(full: None) -> None:
    start_chain()
    for height in range(60):
        apply_rows([Row(height, 0, event, "", "g1a", 1) for event in range(200)])
    sizes = list(TransferSegment.objects.order_by("first_height").values_list("bytes_before", flat=True))
    assert 3 < len(sizes) < 50
    assert all(after - before >= after // segments.SHARE for before, after in pairwise(sizes))
    expect_conserved()


def test_what_comes_late_is_in_the_segment_of_its_height() -> None:
    start_chain()
    apply_rows(mints(10, 20))
    assert begin(20)
    apply_rows(mints(30))
    assert begin(30)
    apply_rows(mints(5, 15, 20 + 5, 40))
    assert where() == {5: 0, 10: 0, 15: 0, 20: 0, 25: 21, 30: 21, 40: 31}
    assert begins() == [21, 31]


def test_a_message_that_reaches_over_a_bound() -> None:
    start_chain()
    apply_rows(mints(10))
    assert begin(10)
    apply_rows([*mints(9), Row(12, 0, 0, "", "g1b", 1), Row(8, 0, 0, "g1a", "g1b", 1)])
    assert where() == {8: 0, 9: 0, 10: 0, 12: 11}


def test_none_begins_where_there_is_no_room() -> None:
    start_chain()
    assert not begin(7), "nothing is applied"
    apply_rows(mints(10))
    assert begin(10)
    assert not begin(10), "full, and closed"
    assert not begin(11), "nothing is in it"


def test_the_tip_that_is_followed_beyond_a_hole_has_its_own() -> None:
    start_chain([(0, 30), (1000, 1010)])
    apply_rows(mints(1000, 1001))
    apply_rows(mints(1, 20))
    assert begin(20)
    assert begins() == [21, 1000]
    assert where() == {1: 0, 20: 0, 1000: 1000, 1001: 1000}
    Chain.objects.update(coverage=[(0, 80), (1000, 1020)])
    apply_rows(mints(21, 80), mints(1020))
    assert begin(80)
    assert begins() == [21, 81, 1000]
    assert begin(1020)
    assert begins()[-1] == 1021
    expect_conserved()


def test_heights_before_the_first_one_that_is_wanted_are_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the widest one, and above it is too much to be moved."""
    monkeypatch.setattr(segments, "MOST_MOVED", 1)
    start_chain([(5000, 5030), (6000, 6010)], start_height=5000)
    apply_rows(mints(5001, 5020, 5025, 6000))
    assert begin(5025)
    assert begins() == [5026, 6000]


def test_what_the_backfill_adds_does_not_make_the_tips_segment_full(full: None) -> None:
    start_chain([(0, 100), (1000, 1010)])
    apply_rows(mints(1000))
    apply_rows(mints(1))
    apply_rows(Row(2, 0, event, "", "g1a", 1) for event in range(500))
    apply_rows(mints(1001))
    assert begins() == [2, 3, 1000]


def test_much_beyond_a_hole_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "MOST_MOVED", 1)
    start_chain([(0, 30), (1000, 1010)])
    apply_rows(mints(1, 20, 1000, 1001))
    assert begin(20)
    assert (begins(), set(where().values())) == ([1002], {0})


def test_two_holes_leave_the_backfill_a_segment_of_its_own() -> None:
    """A synchronizer that was restarted early: the tip as it was before, and the tip as it is now."""
    start_chain([(0, 30), (5000, 5010), (5020, 5030)])
    apply_rows(mints(5001, 5021))
    apply_rows(mints(1, 20))
    assert begin(20)
    assert begins() == [21, 5000]


def test_a_batch_at_the_tip_leaves_the_backfill_a_segment_of_its_own() -> None:
    start_chain([(0, 30), (1000, 1010)])
    apply_rows(mints(1, 20, 1000))
    assert begin(1000)
    assert begins() == [21, 1000]


def test_a_gap_that_was_accepted_is_no_hole() -> None:
    start_chain([(0, 30), (1000, 1010)])
    AcceptedGap.objects.create(first_height=31, last_height=999)
    apply_rows(mints(1, 20, 1000))
    assert begin(1000)
    assert begins() == [1001]


def test_heights_that_are_read_again_leave_coverage_below_the_segment() -> None:
    start_chain()
    apply_rows(mints(10))
    assert begin(10)
    apply_rows(mints(20))
    Chain.objects.update(coverage=[(0, 5)])
    assert begin(20)
    assert begins() == [11, 21]


@pytest.mark.django_db(transaction=True)
def test_who_applies_is_waited_for(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Not for ever, and what could not begin then is tried again later; nothing is lost."""
    monkeypatch.setattr(segments, "LEAST_BYTES", 1)
    monkeypatch.setattr(segments, "PATIENCE_SECONDS", 0.1)
    start_chain()
    put(mints(1))

    def hold(pause: Callable[[], None]) -> None:
        with transaction.atomic():
            ledger_lock.pass_through()
            pause()

    with closing(PostgresQueue()) as queue:
        one = processor(queue)
        with somebody(hold):
            assert one.process_batch(0) == 1
            put(mints(2))
            assert one.process_batch(0) == 1
        assert begins() == []
        assert [record.message for record in caplog.records] == [
            "No segment of transfers begun, tried again in 60 s: a batch of somebody else takes longer than 0.1 s"
        ]
        one._next_segment = 0.0
        put(mints(3))
        assert one.process_batch(0) == 1
    assert (begins(), where()) == ([4], {1: 0, 2: 0, 3: 0})


@pytest.mark.django_db(transaction=True)
def test_who_waits_at_the_gate_meanwhile_applies_to_the_new_one() -> None:
    start_chain()
    apply_rows(mints(1))
    put(mints(2))

    def begin_slowly(pause: Callable[[], None]) -> None:
        with transaction.atomic():
            assert begin(1)
            pause()

    applying = threading.Thread(target=closing_connection, args=[apply_all])
    with somebody(begin_slowly):
        applying.start()
        until(lambda: waits("advisory"), "the processor at the gate")
    applying.join(20)
    assert where() == {1: 0, 2: 2}


def test_who_finds_it_full_and_comes_second_begins_none(monkeypatch: pytest.MonkeyPatch) -> None:
    start_chain()
    apply_rows(mints(1))
    look = segments._cut
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(segments, "LEAST_BYTES", 1)
        seen = [look(1)]  # before the other one began his
        assert segments.begin_another(1)
        patched.setattr(segments, "_cut", lambda height: seen.pop() if seen else look(height))
        assert not segments.begin_another(1)
    assert begins() == [2]


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_about_an_account_is_the_same_however_many_there_are(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages, ends and balances of the past, over segments of any size, against the rows themselves."""
    monkeypatch.setattr(checkpoints, "STRETCH", 4)
    chance = random.Random(seed)
    start_chain([(0, 99), (110, 120)])
    rows = [row for row in zipf_rows(chance, 0, 120) if not 100 <= row.height < 110]
    apply_rows([row for row in rows if row.height >= 110])
    cuts = sorted(chance.sample(range(5, 95), 6))
    for low, high in zip([0, *cuts], [*cuts, 100], strict=True):
        part = [row for row in rows if low <= row.height < high]
        late = [row for row in part if chance.random() < 0.1]
        apply_rows([row for row in part if row not in late])
        begin(high - 1)
        apply_rows(late)
    assert len(begins()) >= 4
    assert 110 in begins(), "the tip's, which were moved there"
    expect_conserved()
    if seed:
        walk()
    edges = [edge for first in segments.first_heights() for edge in (first - 1, first) if 0 <= edge <= 120]
    for address in ("g10", "g11", "g15", "g139"):
        own = [row for row in sorted(set(rows), key=lambda row: row[:3]) if address in (row.sender, row.recipient)]
        for ascending in (False, True):
            for low, high in ((0, 120), (30, 90), *((edge, edge) for edge in edges)):
                wanted = TransferFilters(addresses=(address,), ascending=ascending, from_height=low, to_height=high)
                places = [(row.height, row.tx_index, row.event_index) for row in own if low <= row.height <= high]
                assert list(pages(wanted)) == (places if ascending else places[::-1])
        told = summary(address)
        heights = [row.height for row in own]
        assert (told["firstHeight"], told["lastHeight"]) == ((heights[0], heights[-1]) if own else (None, None))
    known = every_height(sorted({*edges, 60, 120}))
    tokens = list(Token.objects.values_list("id", flat=True))
    for height, held in known.items():
        pairs = [pair for pair in held if pair[0] != checkpoints.NOBODY]
        assert point_in_time.amounts_at(height, pairs) == {pair: held[pair] for pair in pairs}
        assert point_in_time.supplies_at(height, tokens) == {
            token: -amount for (who, token), amount in held.items() if not who
        }


def pages(wanted: TransferFilters) -> Iterable[tuple[int, int, int]]:
    after = None
    while True:
        page = transfers(wanted, PageRequest(7, after))
        yield from ((row["blockHeight"], row["txIndex"], row["eventIndex"]) for row in page.rows)
        if page.last is None:
            return
        after = page.last


def test_batch_after_batch_of_a_backfill(full: None) -> None:
    """With the processor's own loop: none of what it does is undone by the next batch."""
    start_chain()
    chance = random.Random(5)
    put(*(zipf_rows(chance, height, height + 9) for height in range(0, 400, 10)))
    with closing(PostgresQueue()) as queue:
        one = processor(queue)
        drain(lambda: one.process_batch(0))
    assert len(begins()) > 0
    expect_conserved()
