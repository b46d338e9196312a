"""Each fault of a source: nothing is lost, nothing is skipped, and whatever can go on goes on."""

import json
import logging
import re
import time
from collections.abc import Callable

import pytest

from blocks.models import Block, Transaction
from blocks.source import endpoints
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.faulty_proxy import Meddler, Reply, data, reply
from tests.blocks.sync_runner import Sync, assert_holds, coverage, covered, stored_heights, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

Ask = Callable[[], Reply]


def is_for_blocks(question: str) -> bool:
    """A request for blocks alone: one for transactions has a block beside them."""
    return "getBlocks" in question and "getTransactions" not in question


def bounds(question: str) -> tuple[int, int] | None:
    """The heights, both inclusive, that a question for rows is about; None for any other question."""
    # Block 1 is asked for beside every window, to know whose rows they are.
    question = re.sub(r"\b(?:first|below|above|block):getBlocks\(.*?\)\{[^}]*\} ?", "", question)
    if "{getBlocks" not in question and "{getTransactions" not in question:
        return None
    if equal := re.search(r"height:\{eq:(\d+)\}", question):
        return int(equal[1]), int(equal[1])
    low, high = re.search(r"height:\{[^}]*gt:(-?\d+)", question), re.search(r"height:\{[^}]*lt:(\d+)", question)
    return (int(low[1]) + 1 if low else 0), (int(high[1]) - 1 if high else 2**62)


def asks_for(question: str, height: int) -> bool:
    """Whether the answer would hold rows of `height`."""
    of = bounds(question)
    return of is not None and of[0] <= height <= of[1]


def told() -> str:
    return f"coverage {coverage()}"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints are left for a tenth of a second at first instead of half of one; the pauses grow as they do."""
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.1)


# Trouble for a while


@pytest.mark.parametrize(
    "faults",
    [
        Faults(1, late=0.3, late_seconds=0.05),
        Faults(2, too_many_requests=0.1, retry_after=0),
        Faults(3, server_error=0.1),
        Faults(4, cut_body=0.1),
    ],
    ids=["late answers", "429", "500", "cut bodies"],
)
def test_trouble_now_and_then_loses_nothing(short: Recording, faults: Faults) -> None:
    with ReplaySource(short, faults=faults) as source:
        sync(source.url, connections=1, window_blocks=20)
    assert_holds(short)


def test_an_answer_later_than_the_time_budget_is_asked_for_again(short: Recording) -> None:
    with ReplaySource(short) as source, Sync(source.url, timeout=0.2) as running:
        wait_until(lambda: covered(59))
        source.faults.late, source.faults.late_seconds = 1.0, 1.0
        time.sleep(0.3)  # some looks are in flight and come too late
        source.faults.late = 0.0
        assert running.alive
    with ReplaySource(short, faults=Faults(late=1.0, late_seconds=0.4)) as source, Sync(source.url, timeout=0.2):
        wait_until(lambda: len(source.requests) > 1)
        source.faults.late = 0.0
        wait_until(lambda: coverage() == [(0, 59)])
    assert_holds(short)


def test_an_answer_that_trickles_is_bounded_by_the_time_budget(short: Recording) -> None:
    """The time budget is for one answer, not for the next byte of it: a slow drip holds no connection for ever."""
    dripping = [True]

    def drip(question: str, ask: Ask) -> Reply:
        said = ask()
        if dripping and asks_for(question, 30) and "getTransactions" in question:
            dripping.clear()
            said.drip = 0.1
        return said

    with ReplaySource(short) as source, Meddler(drip, source.url) as meddler:
        sync(meddler.url, timeout=0.5, seconds=4)
    assert_holds(short)


def test_too_many_requests_waits_as_long_as_the_server_says(short: Recording) -> None:
    refused: list[float] = []

    def refuse_once(question: str, ask: Ask) -> Reply:
        if "getTransactions" in question and not refused:
            refused.append(time.monotonic())
            return Reply(429, b"too many requests\n", {"Retry-After": "2"})
        return ask()

    with ReplaySource(short) as source, Meddler(refuse_once, source.url) as meddler:
        sync(meddler.url, connections=1)
        after = [when - refused[0] for when, _ in meddler.questions if when > refused[0]]
    assert_holds(short)
    # What was already on its way may still go out; nothing new is sent before the time is over.
    assert not [seconds for seconds in after if 0.3 < seconds < 1.9], after


def test_another_failure_does_not_shorten_the_wait_that_the_server_asked_for(short: Recording) -> None:
    """Four downloads fail together, one of them with Retry-After: the longest wait counts, not the last."""
    refused: list[float] = []

    def refuse(question: str, ask: Ask) -> Reply:
        if (refused and time.monotonic() - refused[0] > 0.5) or "getTransactions" not in question:
            return ask()
        refused.append(time.monotonic())
        if len(refused) == 1:
            return Reply(429, b"too many requests\n", {"Retry-After": "2"})
        time.sleep(0.2)
        return Reply(502, b"<html>bad gateway</html>")

    with ReplaySource(short) as source, Meddler(refuse, source.url) as meddler:
        sync(meddler.url, connections=4, window_blocks=5)
        after = [when - refused[0] for when, _ in meddler.questions if when > refused[0]]
    assert len(refused) > 1, "only one download failed: the test shows nothing"
    assert not [seconds for seconds in after if 0.45 < seconds < 1.9], after


def test_an_endpoint_that_answers_only_the_simplest_question_is_left_for_ever_longer(
    short: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """Its tip and its identity answer, its rows never do: that is trouble each time, and the pauses grow."""

    def no_rows(question: str, ask: Ask) -> Reply:
        return Reply(500, b"") if "getBlocks" in question and bounds(question) == (0, 39) else ask()

    with ReplaySource(short) as source, Meddler(no_rows, source.url) as meddler, caplog.at_level(logging.INFO):
        with Sync(meddler.url, connections=1):
            wait_until(lambda: meddler.asked("{lt:40}"))
            time.sleep(1.4)
        tries = meddler.asked("{lt:40}")
    # 0.1, 0.2, 0.4 and 0.8 s: the fifth comes after 1.5 s. With a pause of 0.1 s throughout there are ten.
    assert len(tries) <= 5, [round(when - tries[0], 1) for when in tries]
    assert len([record for record in caplog.records if record.msg.startswith("Endpoint left")]) <= 2


# A block that is not whole yet


def test_a_block_announced_before_it_can_be_read_is_read_when_it_is_there(test5: Recording) -> None:
    faults = Faults(announce_before_block=0.2, announce_early=0.2)
    with ReplaySource(test5, start=100, faults=faults, blocks_per_second=100) as source, Sync(source.url):
        wait_until(lambda: coverage() == [(0, 205)])
    assert_holds(test5)


def test_a_tip_whose_transactions_cannot_be_read_yet_is_not_covered(gnotest: Recording) -> None:
    with (
        ReplaySource(gnotest, start=132, faults=Faults(announce_early=3600)) as source,
        Sync(source.url) as running,
    ):
        wait_until(lambda: whole(131))
        source.advance(1)
        wait_until(lambda: running.gaps().get(132))
        assert "98 transactions" in running.gaps()[132]
        assert not covered(132)
        assert not Transaction.objects.filter(block_height=132).exists()
        source.faults.announce_early = 0
        wait_until(lambda: whole(132))
    assert_holds(gnotest, 0, 132)


def test_a_transaction_missing_at_first_is_asked_for_again(gnotest: Recording) -> None:
    faults = Faults(missing_transactions={0: 2, 56: 3, 132: 4})
    with ReplaySource(gnotest.truncated(150), faults=faults) as source:
        sync(source.url)
    assert_holds(gnotest, 0, 149)


def test_a_transaction_missing_for_ever_keeps_its_height_alone_uncovered(gnotest: Recording) -> None:
    recording = gnotest.truncated(150)

    def alone() -> list[str]:
        return [r.query for r in source.requests if "getBlocks" in r.query and bounds(r.query) == (132, 132)]

    with ReplaySource(recording, faults=Faults(missing_transactions={132: -1})) as source, Sync(source.url) as running:
        wait_until(lambda: coverage() == [(0, 131), (133, 149)])
        assert "98 transactions, the answer has 97" in running.gaps()[132]
        assert not Block.objects.filter(height=132).exists()
        assert not Transaction.objects.filter(block_height=132).exists()
        # Requested again and again, ever more seldom, and alone.
        wait_until(lambda: len(alone()) >= 3)
        assert len(alone()) < 12
        source.faults.missing_transactions.clear()
        wait_until(lambda: coverage() == [(0, 149)])
    assert_holds(recording)


def test_a_height_that_stays_incomplete_is_told_once(short: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), ReplaySource(short, faults=Faults(missing_blocks={7})) as source:
        with Sync(source.url):
            wait_until(lambda: "Heights stay incomplete" in caplog.text)
            source.faults.missing_blocks = ()
            wait_until(lambda: covered(7))
        assert caplog.text.count("Heights stay incomplete") == 1
        assert "Heights are complete now from=7 to=7" in caplog.text


def test_missing_genesis_is_a_gap_and_the_rest_goes_on(short: Recording) -> None:
    with ReplaySource(short, faults=Faults(missing_blocks={0})) as source, Sync(source.url) as running:
        wait_until(lambda: coverage() == [(1, 59)])
        assert "no block" in running.gaps()[0]
        source.faults.missing_blocks = ()
        wait_until(lambda: coverage() == [(0, 59)])
    assert_holds(short)


def test_missing_blocks_anywhere_are_gaps_until_they_come(test5: Recording) -> None:
    with ReplaySource(test5, faults=Faults(missing_blocks={0, 1, 40, 41, 99, 204})) as source, Sync(source.url):
        wait_until(lambda: coverage() == [(2, 39), (42, 98), (100, 203), (205, 205)])
        source.faults.missing_blocks = ()
        wait_until(lambda: coverage() == [(0, 205)])
    assert_holds(test5)


def test_a_gap_that_nobody_can_fill_does_not_keep_the_processor_busy(short: Recording) -> None:
    """A height is due again and its endpoint is away: the loop waits, it does not spin."""
    with ReplaySource(short, faults=Faults(missing_blocks={7})) as source:
        running = Sync(source.url, poll=0.5)
        with running:
            wait_until(lambda: coverage() == [(0, 6), (8, 59)])
            source.faults.server_error = 1.0
            time.sleep(1.5)
    assert running.cpu_seconds < 0.7, f"{running.cpu_seconds:.1f} s of a processor in 1.5 s of waiting"


def test_a_window_under_way_does_not_keep_the_processor_busy(short: Recording) -> None:
    """A height is due again and being asked for, and the answer takes its time: the loop waits, it does not spin."""
    slow: list[bool] = []

    def slowly(question: str, ask: Ask) -> Reply:
        if slow and "getBlocks" in question:
            time.sleep(1)
        return ask()

    with (
        ReplaySource(short, faults=Faults(missing_blocks={7})) as source,
        Meddler(slowly, source.url) as meddler,
    ):
        running = Sync(meddler.url, poll=5.0)
        with running:
            wait_until(lambda: coverage() == [(0, 6), (8, 59)])
            slow.append(True)
            time.sleep(1.5)
    assert running.cpu_seconds < 0.7, f"{running.cpu_seconds:.1f} s of a processor in 1.5 s of waiting"


# Answers that make no sense


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b'{"data":null}',
        b'{"data":{"getTransactions":5,"getBlocks":7}}',
        b'{"data":{"getTransactions":[5],"getBlocks":[null]}}',
        b'{"data":{"getTransactions":{"0":1},"getBlocks":"no"}}',
        b'{"data":{"getTransactions":"no"}}',
        b"[" * 100_000,
        b'{"data":{"getTransactions":[{"response":{"events":' + b"[" * 100_000,
        b'{"errors":[null]}',
        b'{"errors":[{"message":null}]}',
        b'{"errors":[{"message":"internal system error"}],"data":null}',
        b'{"data":{"latestBlockHeight":"12"}}',
        b'{"data":{"latestBlockHeight":1e3}}',
        b"\xff\xfe\x00",
    ],
    ids=lambda body: body[:40].decode("latin1"),
)
def test_an_answer_without_sense_is_trouble_of_that_endpoint_only(short: Recording, body: bytes) -> None:
    left = [b"tip", b"blocks", b"transactions"]

    def nonsense(question: str, ask: Ask) -> Reply:
        kind = b"tip" if "latest" in question else b"transactions" if "getTransactions" in question else b"blocks"
        if kind in left:
            left.remove(kind)
            return Reply(200, body)
        return ask()

    with ReplaySource(short) as source, Meddler(nonsense, source.url) as meddler:
        sync(meddler.url, seconds=10)
    assert not left
    assert_holds(short)


@pytest.mark.parametrize("tip", [2**63, 2**64, -(2**63) - 1, -7])
def test_a_height_that_no_chain_has_is_trouble_of_that_endpoint_only(short: Recording, tip: int) -> None:
    """The first endpoint lies about its height; the second is believed."""
    with (
        ReplaySource(short) as source,
        Meddler(lambda question, ask: data(latestBlockHeight=tip) if "latest" in question else ask(), source.url) as m,
    ):
        sync(m.url, source.url, seconds=6)
    assert_holds(short)


def test_a_row_that_cannot_be_decoded_blocks_its_own_height_only(short: Recording) -> None:
    """A number that no column holds, in one transaction: its height waits, all others are stored, and it is said."""
    victim = next(row for row in short.transactions if row["block_height"] > 10)
    height = victim["block_height"]
    rows = [row | {"gas_used": 2**63} if row is victim else row for row in short.transactions]
    with ReplaySource(Recording.from_rows(short.blocks, rows)) as source, Sync(source.url) as running:
        wait_until(lambda: coverage() == [(0, height - 1), (height + 1, 59)], 6, told)
        wait_until(lambda: height in running.gaps(), 2)


def test_a_row_that_the_server_cannot_decode_blocks_its_own_height_only(short: Recording) -> None:
    """Rows up to the bad one beside an error, as tx-indexer answers: they are not taken as whole, and others go on."""

    def broken(question: str, ask: Ask) -> Reply:
        said = ask()
        if "getTransactions" in question and asks_for(question, 30):
            rows = [row for row in said.json["data"]["getTransactions"] or () if row["block_height"] < 30]
            return reply({"errors": [{"message": "unable to decode"}], "data": {"getTransactions": rows}})
        return said

    assert short.transactions_at(30), "choose a height with a transaction"
    with ReplaySource(short) as source, Meddler(broken, source.url) as meddler, Sync(meddler.url):
        wait_until(lambda: coverage() == [(0, 29), (31, 59)], 6, told)


def test_partial_rows_beside_an_error_are_never_taken_as_whole(short: Recording) -> None:
    """Every height of the answer looks complete, and still there was an error."""
    left = [True]

    def partial(question: str, ask: Ask) -> Reply:
        said = ask()
        if left and is_for_blocks(question) and asks_for(question, 20) and asks_for(question, 21):
            left.clear()
            return reply(said.json | {"errors": [{"message": "iterator error", "path": ["getBlocks"]}]})
        return said

    with ReplaySource(short) as source, Meddler(partial, source.url) as meddler:
        sync(meddler.url)
        asked = [q for _, q in meddler.questions if is_for_blocks(q) and asks_for(q, 20) and bounds(q) != (1, 1)]
    assert len(asked) >= 2
    assert_holds(short)


@pytest.mark.parametrize(
    ("at", "change", "why"),
    [
        (20, {"num_txs": 7}, "7 transactions"),
        (20, {"num_txs": 2_000}, "2000 transactions"),
        (20, {"time": "yesterday"}, "time"),
        (20, {"time": ""}, "time"),
        (0, {"hash": "genesis has none"}, ""),
    ],
)
def test_a_block_that_does_not_fit_is_not_stored(
    short: Recording, at: int, change: dict[str, object], why: str
) -> None:
    blocks = [block | change if block["height"] == at else block for block in short.blocks]
    with ReplaySource(Recording.from_rows(blocks, short.transactions)) as source, Sync(source.url) as running:
        if not why:
            wait_until(lambda: covered(59))
            return
        wait_until(lambda: covered(18) and covered(59), 6, told)
        assert not (covered(20) and covered(21)), "the block was stored beside one that it does not fit"
        assert any(why in reason for reason in running.gaps().values()), running.gaps()


def test_a_block_that_claims_a_million_transactions_is_not_asked_for_page_by_page(short: Recording) -> None:
    blocks = [block | {"num_txs": 1_000_000} if block["height"] == 20 else block for block in short.blocks]
    with ReplaySource(Recording.from_rows(blocks, short.transactions)) as source, Sync(source.url):
        wait_until(lambda: covered(59) and covered(18), 5, told)
        assert len([r for r in source.requests if "index:{" in r.query]) < 100


def test_rows_outside_of_what_was_asked_are_not_stored(short: Recording) -> None:
    """A server that ignores the bounds gives the whole chain each time: only what was asked for is taken."""

    def everything(question: str, ask: Ask) -> Reply:
        return whole["getBlocks"] if is_for_blocks(question) else ask()

    with ReplaySource(short) as source, Meddler(None, source.url) as meddler:
        fields = "height hash time num_txs total_txs last_block_hash chain_id proposer_address_raw"
        body = json.dumps({"query": f"{{getBlocks(where:{{}}){{{fields}}}}}"}).encode()
        whole = {"getBlocks": meddler._ask(body)}
        meddler.meddle = everything
        sync(meddler.url, start_height=10)
    assert stored_heights() == list(range(10, 60))


# Several endpoints


def test_a_dead_endpoint_is_left_for_the_next(short: Recording) -> None:
    with ReplaySource(short) as dead:
        pass
    with ReplaySource(short) as source:
        sync(dead.url, source.url)
    assert_holds(short)


def test_an_endpoint_that_hangs_is_left_for_the_next(short: Recording) -> None:
    with ReplaySource(short, faults=Faults(late=1.0, late_seconds=30)) as hanging, ReplaySource(short) as source:
        started = time.monotonic()
        sync(hanging.url, source.url, timeout=2.0)
        assert time.monotonic() - started < 2.0, "the healthy endpoint waited for the hanging one"
    assert_holds(short)


def test_an_endpoint_that_lags_is_left_for_one_that_is_further(test5: Recording) -> None:
    with ReplaySource(test5, start=80) as lagging, ReplaySource(test5) as source:
        sync(lagging.url, source.url)
    assert_holds(test5)


def test_the_first_endpoint_is_used_again_when_it_is_back(test5: Recording) -> None:
    with (
        ReplaySource(test5, start=30) as first,
        ReplaySource(test5, start=30) as second,
        Sync(first.url, second.url) as running,
    ):

        def rows_read(source: ReplaySource) -> int:
            return len([r for r in source.requests if r.status == 200 and "getTransactions" in r.query])

        wait_until(lambda: covered(29))
        first.faults.server_error = 1.0
        first.advance(10)
        second.advance(10)
        wait_until(lambda: covered(39))
        first.faults.server_error = 0.0
        before = rows_read(first)
        for _ in range(160):  # a new block may be read from whoever tells of it first
            first.advance()
            second.advance()
            tip = first.tip or 0
            wait_until(lambda tip=tip: covered(tip))  # type: ignore[misc]  # a lambda in a loop
            if rows_read(first) > before:
                break
        assert rows_read(first) > before, "it was never asked again"
        assert running.alive


def test_a_height_that_the_first_endpoint_lacks_is_read_from_the_second(gnotest: Recording) -> None:
    recording = gnotest.truncated(140)
    faults = Faults(missing_transactions={132: -1}, missing_blocks={0, 50})
    with ReplaySource(recording, faults=faults) as first, ReplaySource(recording) as second:
        sync(first.url, second.url)
    assert_holds(recording)


def test_a_transient_failure_costs_less_than_a_long_poll(short: Recording) -> None:
    """One endpoint, one 500, and a poll of ten seconds: the endpoint is asked again after its own pause."""
    left = [True]

    def once(question: str, ask: Ask) -> Reply:
        if left and "getTransactions" in question:
            left.clear()
            return Reply(500, b"")
        return ask()

    with ReplaySource(short) as source, Meddler(once, source.url) as meddler:
        sync(meddler.url, poll=10.0, seconds=5)
    assert_holds(short)
