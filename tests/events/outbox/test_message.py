"""The message: what is packed is what is read, never too long, always valid for SQS, and nothing else is believed."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.outbox.message import Message, MessageInvalid, Packer, decode
from events.parsing.grc20 import MAX_ADDRESS_BYTES, MAX_NAME_BYTES, MAX_TOKEN_BYTES
from postgres.text import is_storable
from tests.events.factories import CHAIN, Row, packed

# Any character outside of these is refused by SQS (reference/sqs.md).
SQS_BODY = re.compile("[\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

heights = st.integers(0, 2**63 - 1)
indexes = st.integers(0, 2**31 - 1)


def texts(most_bytes: int, least: int = 1) -> st.SearchStrategy[str]:
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=least, max_size=20)
    return text.filter(lambda one: len(one.encode()) <= most_bytes)


transfers = st.lists(
    st.tuples(
        heights, indexes, indexes, texts(512), st.booleans(), texts(256, 0), texts(256), st.integers(0, 2**64 - 1)
    ),
    max_size=8,
)
announcements = st.lists(
    st.tuples(heights, indexes, indexes, texts(512), texts(256, 0), texts(256, 0), st.integers(0, 18)), max_size=3
)


def unpacked(bodies: list[str], chain_id: str = CHAIN) -> tuple[list[Any], list[Any]]:
    """The rows of messages with tokens and addresses in the place of positions."""
    moved, announced = [], []
    for message in (decode(body, chain_id) for body in bodies):
        accounts = [*message.accounts, ""]
        moved += [
            (h, t, e, message.tokens[token][0], accounts[s], accounts[r], int(amount))
            for h, t, e, token, s, r, amount in message.transfers
        ]
        announced += [(h, t, e, message.tokens[token][0], *rest) for h, t, e, token, *rest in message.announcements]
    return moved, announced


@given(transfers, announcements, texts(50))
def test_what_is_packed_is_what_is_read(moved: list[Any], announced: list[Any], chain_id: str) -> None:
    packer = Packer(chain_id, 16_384)
    for row in moved:
        packer.add_transfer(*row)
    for row in announced:
        packer.add_announcement(*row)
    bodies = [message.body(number) for number, message in enumerate(packer.messages(), 1)]
    assert unpacked(bodies, chain_id) == ([(*row[:4], *row[5:]) for row in moved], announced)


@given(transfers, announcements)
def test_a_body_is_ascii_and_valid_for_sqs_whatever_the_strings_hold(moved: list[Any], announced: list[Any]) -> None:
    packer = Packer("chain \x01\ufffe☃", 16_384)
    for row in moved:
        packer.add_transfer(*row)
    for row in announced:
        packer.add_announcement(*row)
    for message in packer.messages():
        body = message.body(1)
        assert body.isascii()
        assert SQS_BODY.fullmatch(body)


@pytest.mark.parametrize("hostile", ["\x01", "é", "\uffff", "\U0010ffff", '"', "\\"])
@pytest.mark.parametrize("max_bytes", [16_384, 65_536])
def test_the_largest_legal_rows_never_exceed_the_limit(hostile: str, max_bytes: int) -> None:
    def largest(most_bytes: int, number: int) -> str:
        return f"{number:04}" + hostile * ((most_bytes - 4) // len(hostile.encode()))

    packer = Packer("c" * 50, max_bytes)
    for n in range(60):
        place = 2**63 - 1, 2**31 - 1, 2**31 - 1
        token, name = largest(MAX_TOKEN_BYTES, n), largest(MAX_NAME_BYTES, n)
        if n % 3:
            sender, recipient = largest(MAX_ADDRESS_BYTES, n), largest(MAX_ADDRESS_BYTES, n + 5000)
            packer.add_transfer(*place, token, False, sender, recipient, 2**64 - 1)
        else:
            packer.add_announcement(*place, token, name, name, 18)
    bodies = [message.body(2**63 - 1) for message in packer.messages()]
    assert max(map(len, bodies)) <= max_bytes
    assert min(map(len, bodies[:-1])) > max_bytes / 2, "and messages are packed full"
    assert [len(rows) for rows in unpacked(bodies, "c" * 50)] == [40, 20]


def test_a_long_chain_id_takes_its_room_from_the_rows() -> None:
    bodies = [
        m.body(1)
        for m in packed([Row(h, 0, 0, "", f"g1{h}", 1) for h in range(900)], chain_id="é" * 1500, max_bytes=16_384)
    ]
    assert max(map(len, bodies)) <= 16_384
    assert sum(len(decode(body, "é" * 1500).transfers) for body in bodies) == 900


def test_tokens_and_addresses_are_written_once() -> None:
    (message,) = packed([Row(1, 0, n, "g1a", "g1b", n) for n in range(50)])
    read = decode(message.body(1), CHAIN)
    assert (len(read.tokens), read.accounts, len(read.transfers)) == (1, ["g1a", "g1b"], 50)


def test_a_message_says_which_heights_it_tells_of() -> None:
    (message,) = packed([Row(7, 0, 0, "", "g1a", 1), Row(19, 0, 0, "g1a", "", 1)])
    read = decode(message.body(3), CHAIN)
    assert (read.id, read.first_height, read.last_height, message.transfers) == (3, 7, 19, 2)


def test_nothing_to_say_is_no_message() -> None:
    assert packed([]) == []


# What is not believed


def body(**changed: Any) -> str:
    ordinary = {
        "version": 1, "id": 5, "chain_id": CHAIN, "first_height": 1, "last_height": 1,
        "tokens": [["gno.land/r/x", True]], "accounts": ["g1a", "g1b"],
        "transfers": [[1, 0, 0, 0, 0, 1, "5"]], "announcements": [],
    }  # fmt: skip
    return json.dumps(ordinary | changed)


def refused(text: str) -> MessageInvalid:
    with pytest.raises(MessageInvalid) as raised:
        decode(text, CHAIN)
    return raised.value


def test_the_example_these_tests_change_is_a_message() -> None:
    assert isinstance(decode(body(), CHAIN), Message)


def test_fields_of_tomorrow_do_no_harm_within_a_version() -> None:
    assert decode(body(sent_by="relay 7"), CHAIN) == decode(body(), CHAIN)


def test_a_message_of_a_future_version_is_refused_with_its_outbox_id() -> None:
    said = refused(json.dumps({"version": 2, "id": 5, "chain_id": CHAIN, "body": {"new": "shape"}}))
    assert said.outbox_id == 5
    assert "version 2" in str(said)
    assert "version 1" in str(said)


def test_a_message_of_another_chain_is_refused_and_its_id_means_nothing_here() -> None:
    said = refused(body(chain_id="other-1"))
    assert said.outbox_id is None
    assert "other-1" in str(said)
    assert CHAIN in str(said)


GARBAGE = [
    "",
    "null",
    "[]",
    "{}",
    "hello",
    "{",
    "\ud800",
    "\x00",
    '{"version":1}',
    '{"version":"1","id":5,"chain_id":"x"}',
    '{"a":' + "[" * 100_000,
    "[" * 100_000,
    body(id=-1),
    body(id=2**63),
    body(id="5"),
    body(version=None),
]


@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: repr(text)[:30])
def test_garbage_is_refused(text: str) -> None:
    assert refused(text).outbox_id is None


@pytest.mark.parametrize(
    "changed",
    [
        {"transfers": [[1, 0, 0, 1, 0, 1, "5"]]},
        {"transfers": [[1, 0, 0, -1, 0, 1, "5"]]},
        {"transfers": [[1, 0, 0, 0, 2, 1, "5"]]},
        {"transfers": [[1, 0, 0, 0, 0, 2, "5"]]},
        {"transfers": [[1, 0, 0, 0, -2, 1, "5"]]},
        {"transfers": [[1, 0, 0, 0, -1, -1, "5"]]},
        {"transfers": [[-1, 0, 0, 0, 0, 1, "5"]]},
        {"transfers": [[2**63, 0, 0, 0, 0, 1, "5"]]},
        {"transfers": [[1, 2**31, 0, 0, 0, 1, "5"]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, "-5"]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, ""]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, "5\n"]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, "5\t6"]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, "\u0665"]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, "1" * 21]]},
        {"transfers": [[1, 0, 0, 0, 0, 1, 5]]},
        {"transfers": [[1, 0, 0, 0, 0, 1]]},
        {"transfers": None},
        {"tokens": [["", True]]},
        {"tokens": [["x" * 513, True]]},
        {"tokens": [["x\x00", True]]},
        {"tokens": ["gno.land/r/x"]},
        {"accounts": ["g1a", ""]},
        {"accounts": ["g1a", "g\x00"]},
        {"accounts": ["g1a", "g" * 257]},
        {"announcements": [[1, 0, 0, 1, "Foo", "FOO", 4]]},
        {"announcements": [[1, 0, 0, -1, "Foo", "FOO", 4]]},
        {"announcements": [[1, 0, 0, 0, "F\x00", "FOO", 4]]},
        {"announcements": [[1, 0, 0, 0, "Foo", "FOO", 256]]},
        {"first_height": -1},
        {"last_height": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_broken_message_is_refused_with_its_outbox_id(changed: dict[str, Any]) -> None:
    assert refused(body(**changed)).outbox_id == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.sampled_from(list(json.loads(body()))), json_values)
def test_whatever_a_field_is_changed_to_the_message_is_sound_or_refused(field: str, value: Any) -> None:
    try:
        message = decode(body(**{field: value}), CHAIN)
    except MessageInvalid:
        return
    assert all(is_storable(text) for text in [*message.accounts, *(path for path, _ in message.tokens)])


@given(st.text(max_size=200))
def test_no_text_makes_reading_fail_in_another_way(text: str) -> None:
    with pytest.raises(MessageInvalid):
        decode(text, CHAIN)
