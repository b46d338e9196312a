"""The wrong chain is refused, by name and by the hash of block 1, and nothing is ever mixed."""

import logging
import re
import threading
from base64 import b64encode
from hashlib import sha256

import pytest

from blocks.models import Block, Chain
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.faulty_proxy import Meddler, Reply
from tests.blocks.sync.test_source_faults import Ask, bounds
from tests.blocks.sync_runner import Sync, assert_holds, coverage, stored_heights, sync, wait_until, whole

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]


def namesake(recording: Recording) -> Recording:
    """Another chain of the same name, as after a reset: other hashes, same links and counts."""

    def other(value: str) -> str:
        return b64encode(sha256(value.encode()).digest()).decode() if value else ""

    blocks = [
        block | {"hash": other(block["hash"]), "last_block_hash": other(block["last_block_hash"])}
        for block in recording.blocks
    ]
    rows = [row | {"hash": other(row["hash"]), "memo": "of the other chain"} for row in recording.transactions]
    return Recording.from_rows(blocks, rows, recording.chain_id)


def assert_not_mixed(recording: Recording) -> None:
    """Every stored block is of one chain."""
    ours = {block["height"]: block["hash"] for block in recording.blocks}
    heights = [height for height in stored_heights() if height > 0]  # genesis has no hash
    foreign = [b.height for b in Block.objects.order_by("height") if b.hash != ours[b.height]]
    assert foreign in ([], heights), f"two chains in one database: {foreign} of {coverage()}"


def test_another_chain_than_the_configured_one_is_refused_at_start(
    short: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(short) as source, Sync(source.url, chain_id="gnoland1"):
        wait_until(lambda: "refused" in caplog.text)
        assert "'test5'" in caplog.text
        assert "'gnoland1'" in caplog.text
    assert not Chain.objects.exists()
    assert stored_heights() == []


def test_the_configured_chain_is_followed_though_another_answers_first(short: Recording) -> None:
    with ReplaySource(short, faults=Faults(other_chain=True)) as other, ReplaySource(short) as source:
        sync(other.url, source.url, chain_id="test5")
    assert_holds(short)


def test_a_configured_chain_that_is_not_the_stored_one_is_refused_with_both_names(
    short: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """The database holds test5 and CHAIN_ID says gnoland1: nothing is added to it under that name."""
    with ReplaySource(short, start=30) as source:
        sync(source.url)
        source.advance(30)
        with Sync(source.url, chain_id="gnoland1") as running:
            wait_until(lambda: "gnoland1" in caplog.text, 3, lambda: f"coverage {coverage()}, alive {running.alive}")
            assert "test5" in caplog.text
    assert coverage() == [(0, 29)]


@pytest.mark.parametrize("same_name", [False, True])
def test_another_chain_under_the_same_address_is_refused_at_start(
    short: Recording, same_name: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(short, start=30) as source:
        sync(source.url)
    other = namesake(short) if same_name else short.as_other_chain()
    with ReplaySource(other) as source, Sync(source.url):
        wait_until(lambda: "refused" in caplog.text)
        if same_name:
            assert short.blocks[1]["hash"] in caplog.text
            assert other.blocks[1]["hash"] in caplog.text
        else:
            assert "'other-chain'" in caplog.text
            assert "'test5'" in caplog.text
        assert not any("getTransactions" in request.query for request in source.requests)
    assert_holds(short, 0, 29)


@pytest.mark.parametrize("same_name", [False, True])
def test_another_chain_under_the_same_address_is_refused_in_the_middle(
    test5: Recording, same_name: bool, caplog: pytest.LogCaptureFixture
) -> None:
    other = namesake(test5) if same_name else test5.as_other_chain()
    with ReplaySource(test5, start=100) as source, Sync(source.url) as running:
        wait_until(lambda: whole(99))
        source.faults.other_chain = other
        wait_until(lambda: "refused" in caplog.text)
        assert coverage() == [(0, 99)]
        source.faults.other_chain = False
        source.advance(20)
        wait_until(lambda: whole(119))
        assert running.alive
    assert_holds(test5, 0, 119)


@pytest.mark.parametrize("same_name", [False, True])
def test_the_other_endpoint_is_kept_when_one_is_refused(test5: Recording, same_name: bool) -> None:
    other = namesake(test5) if same_name else test5.as_other_chain()
    with ReplaySource(test5, start=100) as first, ReplaySource(test5, start=100) as second:
        with Sync(first.url, second.url):
            wait_until(lambda: whole(99))
            first.faults.other_chain = other
            second.advance(50)
            wait_until(lambda: whole(149))
        assert_holds(test5, 0, 149)


def test_block_1_is_known_although_the_start_is_above_it(short: Recording, caplog: pytest.LogCaptureFixture) -> None:
    """Promise 7: the hash of block 1 is stored, and a namesake with a higher tip is refused by it."""
    with ReplaySource(short, start=30) as source:
        sync(source.url, start_height=10)
    assert Chain.objects.get().first_block_hash == short.blocks[1]["hash"]
    caplog.clear()
    other = namesake(short)
    with ReplaySource(other) as source, Sync(source.url, start_height=10):
        wait_until(lambda: "refused" in caplog.text)
        assert other.blocks[1]["hash"] in caplog.text
    assert coverage() == [(10, 29)]


def test_a_reset_chain_that_is_still_short_is_refused(test5: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with ReplaySource(test5) as source:
        sync(source.url, start_height=10)
    caplog.clear()
    with ReplaySource(namesake(test5), start=20) as source, Sync(source.url, start_height=10):
        wait_until(lambda: "refused" in caplog.text, 5)
    assert Chain.objects.get().tip == 205


def test_two_namesakes_at_the_start_are_not_mixed(short: Recording) -> None:
    """Both are asked who they are before block 1 is stored; the first loses its connection in the middle of the start.

    The second's windows are not stored beside the first's, though no neighbour is there yet to compare with.
    """
    other = namesake(short)
    stored_one = threading.Event()

    def first(question: str, ask: Ask) -> Reply:
        of = bounds(question)
        if of is None or of[0] >= of[1]:
            return ask()  # the tip, the identity
        if of[0] == 0:
            return ask()
        return Reply(502, b"")

    def second(question: str, ask: Ask) -> Reply:
        of = bounds(question)
        if of is not None and of[0] == 10 and of[1] > 10:
            return Reply(502, b"")  # the window that would join the two
        return ask()

    with (
        ReplaySource(short) as ours,
        ReplaySource(other) as theirs,
        Meddler(first, ours.url) as one,
        Meddler(second, theirs.url) as two,
    ):
        running = Sync(one.url, two.url, window_blocks=10, connections=1)
        with running:
            wait_until(lambda: len(stored_heights()) > 0)
            stored_one.wait(2)
    assert_not_mixed(short)


def test_an_address_that_changes_its_chain_during_the_backfill_does_not_mix_two(short: Recording) -> None:
    """A namesake takes over the address while windows are under way, and one window between the two chains is slow."""
    other = namesake(short)
    turned = threading.Event()

    def turn(question: str, ask: Ask) -> Reply:
        of = bounds(question)
        if of is not None and of[0] == 10 and of[1] > 10:
            return Reply(502, b"")
        if of is not None and of[0] >= 20 and of[1] > of[0]:
            source.faults.other_chain = other
            turned.set()
            return ask()
        return ask()

    with ReplaySource(short) as source, Meddler(turn, source.url) as meddler:
        running = Sync(meddler.url, window_blocks=10, connections=2)
        with running:
            wait_until(turned.is_set)
            threading.Event().wait(1.0)
    assert stored_heights(), "nothing is stored: the test shows nothing"
    assert_not_mixed(short)


def test_a_refused_endpoint_is_told_once_and_not_at_every_try(
    test5: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    """Its identity is right and its next block does not link: it is refused again and again, and said once."""
    blocks = [dict(block) for block in test5.blocks]
    blocks[100]["last_block_hash"] = "forged"
    broken = Recording.from_rows(blocks, test5.transactions)
    with ReplaySource(test5, start=100) as source:
        sync(source.url)
    with caplog.at_level(logging.INFO), ReplaySource(broken, start=101) as source, Sync(source.url):
        wait_until(lambda: "does not link" in caplog.text)
        threading.Event().wait(2.5)
    assert len(re.findall("Endpoint left", caplog.text)) <= 2
    assert coverage() == [(0, 99)]
