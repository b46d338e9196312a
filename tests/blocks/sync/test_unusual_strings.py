"""Whatever a chain puts into its strings neither stops the synchronizer nor is lost."""

from typing import Any

import pytest

from blocks.models import Block, Chain, Transaction
from indexer_project import wiring
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, coverage, sync, wait_until

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

RAW_BYTES = b"\xff\xfe\xc3(".decode("utf-8", "surrogateescape")
STRANGE = {
    "NUL": "a\x00b",
    "lone surrogate": "a\ud800b",
    "low surrogate": "a\udfffb",
    "invalid UTF-8": f"a{RAW_BYTES}b",
    "all of them": f'\x00\ud800"\\{RAW_BYTES}\x01\x1f\x7f',
}
# What is written in a text column: nothing is left out, each is spelled as the JSON escape that it is.
AS_TEXT = {
    "NUL": r"a\u0000b",
    "lone surrogate": r"a\ud800b",
    "low surrogate": r"a\udfffb",
    "invalid UTF-8": r"a\udcff\udcfe\udcc3(b",
    "all of them": r'\u0000\ud800"\\udcff\udcfe\udcc3(' + "\x01\x1f\x7f",
}

strange = pytest.mark.parametrize("name", STRANGE)


def transaction_with(recording: Recording, **changes: Any) -> tuple[Recording, int]:
    """The recording with its last transaction that has a GnoEvent changed; and that transaction's height."""
    rows = list(recording.transactions)
    place = max(
        place
        for place, row in enumerate(rows)
        if any(event["__typename"] == "GnoEvent" for event in row["response"]["events"])
    )
    rows[place] = rows[place] | changes
    return Recording.from_rows(recording.blocks, rows), rows[place]["block_height"]


def last_with_event(recording: Recording) -> dict[str, Any]:
    return recording.transactions[
        max(
            place
            for place, row in enumerate(recording.transactions)
            if any(event["__typename"] == "GnoEvent" for event in row["response"]["events"])
        )
    ]


@strange
def test_in_a_memo(short: Recording, name: str) -> None:
    recording, height = transaction_with(short, memo=STRANGE[name])
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    assert [t.memo for t in Transaction.objects.filter(block_height=height)][-1] == AS_TEXT[name]


@strange
def test_in_an_error(short: Recording, name: str) -> None:
    row = last_with_event(short)
    recording, height = transaction_with(short, response=row["response"] | {"error": STRANGE[name]})
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    assert [t.error for t in Transaction.objects.filter(block_height=height)][-1] == AS_TEXT[name]


@strange
def test_in_a_transaction_hash(short: Recording, name: str) -> None:
    recording, height = transaction_with(short, hash=STRANGE[name])
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    assert [t.hash for t in Transaction.objects.filter(block_height=height)][-1] == AS_TEXT[name]


@strange
def test_in_a_fee(short: Recording, name: str) -> None:
    recording, height = transaction_with(short, gas_fee={"amount": 2**70, "denom": STRANGE[name]})
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    assert [t.gas_fee for t in Transaction.objects.filter(block_height=height)][-1] == f"{2**70}{AS_TEXT[name]}"


@strange
def test_in_messages(short: Recording, name: str) -> None:
    text = STRANGE[name]
    call = {"__typename": "MsgCall", "caller": text, "send": text, "pkg_path": text, "func": text, "args": [text, text]}
    recording, height = transaction_with(short, messages=[{"typeUrl": text, "route": text, "value": call}])
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    (message,) = [t.messages for t in Transaction.objects.filter(block_height=height)][-1]
    assert (message["typeUrl"], message["route"]) == (text, text)
    assert message["value"].items() >= call.items()


@strange
def test_in_events(short: Recording, name: str) -> None:
    text = STRANGE[name]
    event = {
        "__typename": "GnoEvent",
        "type": text,
        "pkg_path": text,
        "attrs": [{"key": key, "value": text} for key in ("from", "to", "value", text)],
    }
    transfer = event | {"type": "Transfer", "attrs": event["attrs"][:3]}
    row = last_with_event(short)
    recording, height = transaction_with(short, response=row["response"] | {"events": [event, transfer, event]})
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events)
    assert coverage() == [(0, 59)]
    assert [t.events for t in Transaction.objects.filter(block_height=height)][-1] == [event, transfer, event]


@strange
@pytest.mark.parametrize("height", [1, 39])  # 40 begins a window: its link is checked against what is stored
def test_in_a_block_hash(short: Recording, name: str, height: int) -> None:
    blocks = [dict(block) for block in short.blocks]
    blocks[height]["hash"] = blocks[height + 1]["last_block_hash"] = STRANGE[name]
    with ReplaySource(Recording.from_rows(blocks, short.transactions)) as source:
        sync(source.url, seconds=3)
        sync(source.url, seconds=3)
    assert coverage() == [(0, 59)]
    assert Block.objects.get(height=height).hash == AS_TEXT[name]
    assert Block.objects.get(height=height + 1).last_block_hash == AS_TEXT[name]


@strange
def test_in_a_proposer(short: Recording, name: str) -> None:
    blocks = [block | {"proposer_address_raw": STRANGE[name]} for block in short.blocks]
    with ReplaySource(Recording.from_rows(blocks, short.transactions)) as source:
        sync(source.url)
    assert coverage() == [(0, 59)]
    assert set(Block.objects.values_list("proposer_address", flat=True)) == {AS_TEXT[name]}


@strange
def test_in_a_time(short: Recording, name: str) -> None:
    """A time that is none keeps its block out; the others are stored."""
    blocks = [block | ({"time": STRANGE[name]} if block["height"] == 30 else {}) for block in short.blocks]
    with ReplaySource(Recording.from_rows(blocks, short.transactions)) as source, Sync(source.url) as running:
        wait_until(lambda: coverage() == [(0, 29), (31, 59)])
        assert "time" in running.gaps()[30]


@strange
def test_a_chain_of_a_name_that_cannot_be_stored_does_not_end_the_process(short: Recording, name: str) -> None:
    """The first endpoint's chain has an impossible name: it is left, and the second one is followed."""
    blocks = [block | {"chain_id": STRANGE[name]} for block in short.blocks]
    with (
        ReplaySource(Recording.from_rows(blocks, short.transactions)) as hostile,
        Sync(hostile.url) as running,
    ):
        wait_until(lambda: len(hostile.requests) >= 2)
        running.stop.wait(0.3)
        assert running.alive
    assert not Chain.objects.filter(chain_id="test5").exists()


@pytest.mark.parametrize(
    "events",
    [
        None,
        [],
        [None],
        [{"__typename": "GnoEvent", "type": None, "pkg_path": None, "attrs": None}],
        [{"__typename": "GnoEvent", "type": "Transfer", "pkg_path": "gno.land/r/x", "attrs": [None]}],
        [{"__typename": "GnoEvent", "type": "Transfer", "attrs": [{"key": None, "value": None}]}],
        [{"__typename": "GnoEvent", "type": "Transfer", "attrs": [{"key": "from", "value": 5}]}],
        [{"__typename": "GnoEvent", "type": 7, "pkg_path": [], "attrs": {}}],
        [{"__typename": "SomethingNew"}],
    ],
    ids=repr,
)
def test_events_of_another_shape_block_no_other_height(short: Recording, events: Any) -> None:
    """Served as they are by a server that is newer, or worse. Its own height may wait, and then says why."""
    row = last_with_event(short)
    recording, height = transaction_with(short, response=row["response"] | {"events": events})
    with ReplaySource(recording) as source, Sync(source.url, record=wiring.record_events) as running:
        wait_until(
            lambda: running.alive and (coverage() == [(0, 59)] or coverage() == [(0, height - 1), (height + 1, 59)]),
            5,
            lambda: f"coverage {coverage()}",
        )


def test_strings_as_long_as_a_chain_allows(short: Recording) -> None:
    """4,096 random bytes in each place of an event, which no index of PostgreSQL takes as a key."""
    import random

    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=4096))
    event = {
        "__typename": "GnoEvent",
        "type": "Transfer",
        "pkg_path": f"gno.land/r/{text}",
        "attrs": [{"key": key, "value": f"{text}{key}"} for key in ("from", "to", "value")],
    }
    believed = event | {"attrs": [*event["attrs"][:2], {"key": "value", "value": "1"}]}
    row = last_with_event(short)
    response = row["response"] | {"events": [event, believed, event | {"type": text}], "error": text * 10}
    recording, _height = transaction_with(short, response=response, memo=text * 100)
    with ReplaySource(recording) as source:
        sync(source.url, record=wiring.record_events, seconds=5)
    assert coverage() == [(0, 59)]


def test_a_hash_that_no_index_takes_blocks_its_own_height_only(short: Recording) -> None:
    """PostgreSQL refuses an index row of more than a third of a page, and says so as an operational error."""
    import random

    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=9000))
    recording, height = transaction_with(short, hash=text)
    with ReplaySource(recording) as source, Sync(source.url) as running:
        wait_until(
            lambda: coverage() == [(0, height - 1), (height + 1, 59)], 5, lambda: f"{coverage()} {running.gaps()}"
        )
