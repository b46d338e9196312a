"""From stored transactions to the outbox and to refused events, with strings that no text column can hold."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from events.models import OutboxMessage, RefusedEvent
from events.outbox.message import decode
from events.outbox.recorder import Recorder
from events.parsing.decoding import decode_events
from events.parsing.grc20 import REASONS, Refusal, classify
from events.parsing.profiles import profile_for
from tests.conftest import recorded
from tests.events.factories import CHAIN, LIBRARY, TOKEN, recorded_events

TODAY = profile_for("sapphire-1", libraries=[], unsigned="auto")


@dataclass
class Stored:
    """What the recorder reads of a transaction."""

    block_height: int
    index: int
    success: bool
    events: Any


def gno_event(emitter: str = LIBRARY, kind: str = "Transfer", **attributes: str) -> dict[str, Any]:
    named = {"token": TOKEN, "from": "", "to": "g1a", "value": "5"} | {
        key.rstrip("_"): v for key, v in attributes.items()
    }
    attrs = [{"key": key, "value": value} for key, value in named.items()]
    return {"__typename": "GnoEvent", "type": kind, "pkg_path": emitter, "attrs": attrs}


def record(*lists: Any, success: bool = True) -> None:
    stored = [Stored(7, index, success, json.dumps(events).encode()) for index, events in enumerate(lists)]
    Recorder(CHAIN, TODAY, 262_144).record(stored)


def transfers() -> list[Any]:
    messages = (decode(row.body, CHAIN) for row in OutboxMessage.objects.order_by("id"))
    return [transfer for message in messages for transfer in message.transfers]


@pytest.mark.db
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_every_refused_event_of_a_recorded_chain_is_a_row_with_its_reason(name: str) -> None:
    profile = profile_for("test5" if name == "test5-1" else name, libraries=[], unsigned="auto")
    rows = recorded(name).transactions
    stored = [Stored(row["block_height"], row["index"], row["success"], row["response"]["events"]) for row in rows]
    Recorder(CHAIN, profile, 262_144).record(stored)
    expected = {
        placed[:3]: said.reason
        for placed in recorded_events(name)
        if isinstance(said := classify(placed.event, profile), Refusal)
    }
    found = {(row.block_height, row.tx_index, row.event_index): row.reason for row in RefusedEvent.objects.all()}
    assert found == expected
    assert all(row.detail and row.get_reason_display() in REASONS.values() for row in RefusedEvent.objects.all())


@pytest.mark.db
@pytest.mark.django_db
def test_events_of_a_failed_transaction_do_not_count() -> None:
    record([gno_event(), gno_event(emitter="gno.land/r/evil")], success=False)
    assert not OutboxMessage.objects.exists()
    assert not RefusedEvent.objects.exists()


@pytest.mark.db
@pytest.mark.django_db
def test_an_events_index_counts_every_event_of_its_transaction() -> None:
    record([{"__typename": "StorageDepositEvent"}, {"__typename": "UnknownEvent"}, gno_event()], [gno_event()])
    assert [transfer[:3] for transfer in transfers()] == [(7, 0, 2), (7, 1, 0)]


@pytest.mark.db
@pytest.mark.django_db
def test_recording_again_refuses_once() -> None:
    for _ in range(2):
        record([gno_event(emitter="gno.land/r/evil")])
    assert RefusedEvent.objects.count() == 1


HOSTILE = [
    "\x00",
    "\ud800",
    "a\x00b\udfff",
    "\udcff",
    "\u202e\U0010ffff\uffff",
    "'; DROP TABLE outbox; --",
    "\\N",
    "\t\n",
]


@pytest.mark.db
@pytest.mark.django_db
@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("where", ["emitter", "kind", "token", "from_", "to", "value", "more"])
def test_no_string_anywhere_in_an_event_stops_the_recorder_or_is_dropped(hostile: str, where: str) -> None:
    odd = gno_event(**{"emitter": "gno.land/r/evil", where: hostile})
    record([odd, gno_event()])
    assert (7, 0, 1) in [transfer[:3] for transfer in transfers()], "the sound event beside it counts"
    (refused,) = RefusedEvent.objects.all()
    assert refused.event_index == 0
    assert refused.attributes == [[one["key"], one["value"]] for one in odd["attrs"]], "kept to the letter"


@pytest.mark.db
@pytest.mark.django_db
@pytest.mark.parametrize("hostile", ["\u202e\U0010ffff\uffff", "\\N", "\t\n", "'; --"], ids=ascii)
def test_addresses_that_can_be_stored_are_kept_to_the_letter(hostile: str) -> None:
    record([gno_event(to=hostile)])
    assert decode(OutboxMessage.objects.get().body, CHAIN).accounts == [hostile]


MALFORMED = [
    None, 5, "text", {}, {"__typename": 5}, gno_event() | {"attrs": 5}, gno_event() | {"attrs": [None]},
    gno_event() | {"attrs": [{"key": None, "value": None}]}, gno_event() | {"type": 5}, gno_event() | {"pkg_path": []},
    gno_event(to="\ud800") | {"attrs": [{"key": "to"}]},
]  # fmt: skip


@pytest.mark.db
@pytest.mark.django_db
@pytest.mark.parametrize("malformed", MALFORMED, ids=repr)
def test_an_event_of_a_shape_no_server_should_send_stops_nothing_and_shifts_nothing(malformed: Any) -> None:
    record([malformed, gno_event(value="9")])
    assert [(*transfer[:3], transfer[6]) for transfer in transfers()] == [(7, 0, 1, "9")]


@pytest.mark.parametrize(
    "stored", [b"null", b"[]", None, [], b"{}", b"5", b"not json", b"[" * 100_000, memoryview(b"[]")]
)
def test_a_list_of_events_that_is_none_holds_no_events(stored: Any) -> None:
    assert decode_events(stored) == []


@pytest.mark.db
@pytest.mark.django_db
def test_a_transaction_too_large_for_one_message_becomes_several() -> None:
    many = [gno_event(to=f"g1{number:038}") for number in range(2_000)]
    Recorder(CHAIN, TODAY, 16_384).record([Stored(7, 0, True, json.dumps(many).encode())])
    bodies = list(OutboxMessage.objects.order_by("id").values_list("body", flat=True))
    assert len(bodies) > 1
    assert max(map(len, bodies)) <= 16_384
    assert [transfer[2] for transfer in transfers()] == list(range(2_000))
