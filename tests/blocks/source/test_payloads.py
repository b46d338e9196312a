"""Reading answers: ordinary ones, strange ones, and those that are none."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.source import payloads
from blocks.source.payloads import AnswerInvalid, AnswerRefused, BlockAnswer, CapReached
from tests.conftest import recorded

BLOCK = {
    "height": 7,
    "hash": "aGFzaA==",
    "time": "2026-11-22T08:15:59.324642018Z",
    "num_txs": 1,
    "total_txs": 9,
    "last_block_hash": "bGFzdA==",
    "chain_id": "dev",
    "proposer_address_raw": "g1proposer",
}
EVENT = {
    "__typename": "GnoEvent",
    "type": "Transfer",
    "pkg_path": "gno.land/r/x",
    "attrs": [{"key": "a", "value": "b"}],
}
TRANSACTION = {
    "index": 0,
    "hash": "dHg=",
    "success": True,
    "block_height": 7,
    "gas_wanted": 50_000,
    "gas_used": 2**63 - 1,
    "gas_fee": {"amount": 2**63 - 1, "denom": "ugnot"},
    "memo": "hello",
    "messages": [{"typeUrl": "exec", "route": "vm", "value": {"__typename": "MsgCall", "args": None}}],
    "response": {"error": "", "events": [EVENT]},
}


def body(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def read_transaction(**changes: Any) -> Any:
    (transaction,) = payloads.read(body({"data": {"getTransactions": [TRANSACTION | changes]}})).getTransactions or []
    return transaction


def test_an_ordinary_answer() -> None:
    data = payloads.read(body({"data": {"getBlocks": [BLOCK], "getTransactions": [TRANSACTION]}}))
    (block,), (transaction,) = data.getBlocks or [], data.getTransactions or []
    assert (block.height, block.num_txs, block.total_txs, block.chain_id) == (7, 1, 9, "dev")
    assert (transaction.gas_used, transaction.stored_fee()) == (2**63 - 1, f"{2**63 - 1}ugnot")
    assert json.loads(transaction.events) == [EVENT]
    assert json.loads(bytes(transaction.messages)) == TRANSACTION["messages"]


@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_recorded_replies_are_read(name: str) -> None:
    recording = recorded(name)
    data = payloads.read(body({"data": {"getBlocks": recording.blocks, "getTransactions": recording.transactions}}))
    assert [b.height for b in data.getBlocks or ()] == list(recording.heights)
    assert len(data.getTransactions or ()) == len(recording.transactions)


def test_null_is_no_rows() -> None:
    data = payloads.read(b'{"data":{"getBlocks":null,"getTransactions":null,"latestBlockHeight":null}}')
    assert (data.getBlocks, data.getTransactions, data.latestBlockHeight) == (None, None, None)


def test_fields_that_nobody_asked_for_do_no_harm() -> None:
    data = payloads.read(body({"extensions": {"cost": 1}, "data": {"latestBlockHeight": 5, "more": [1, {}]}}))
    assert data.latestBlockHeight == 5


def test_no_fee_is_an_empty_fee() -> None:
    assert read_transaction(gas_fee=None).stored_fee() == ""
    assert read_transaction(gas_fee={"amount": 0, "denom": ""}).stored_fee() == ""
    assert read_transaction(gas_fee={"amount": 0, "denom": "ugnot"}).stored_fee() == "0ugnot"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("NUL \x00", rb"\u0000"),
        ("lone \ud800 surrogate", rb"\ud800"),
        ("low \udfff first", rb"\udfff"),
        ("pair \ud83d\ude00", "😀".encode()),
        ("backward \ude00\ud83d", rb"\ude00\ud83d"),
        ("controls \x01\x1f\x7f\n", None),
    ],
)
def test_strange_strings_are_kept_wherever_they_are(text: str, written: bytes | None) -> None:
    event = EVENT | {"type": text, "attrs": [{"key": text, "value": text}]}
    transaction = read_transaction(memo=text, hash=text, messages=[text], response={"error": text, "events": [event]})
    # Python's own decoder joins a pair of escapes into the character that they are.
    expected = json.loads(json.dumps(text))
    assert (transaction.memo, transaction.hash, transaction.response.error) == (expected,) * 3
    assert json.loads(transaction.events) == [json.loads(json.dumps(event))]
    assert json.loads(bytes(transaction.messages)) == [expected]


@pytest.mark.parametrize("raw", [b"\xff", b"\xfe\xff", b"\xc3(", b"\xed\xa0\x80", b"\x80", b"\xf5\x80\x80\x80"])
def test_bytes_that_are_no_utf8_are_kept_wherever_they_are(raw: bytes) -> None:
    place = "PLACE"
    event = EVENT | {"type": place}
    written = body(
        {
            "data": {
                "getTransactions": [
                    TRANSACTION | {"memo": place, "messages": [place], "response": {"error": place, "events": [event]}}
                ]
            }
        }
    ).replace(place.encode(), b"a" + raw + b"b")
    (transaction,) = payloads.read(written).getTransactions or []
    for text in (
        transaction.memo,
        transaction.response.error,
        json.loads(bytes(transaction.messages))[0],
        json.loads(transaction.events)[0]["type"],
    ):
        assert text.encode("utf-8", "surrogateescape") == b"a" + raw + b"b"


def test_a_strange_row_does_not_change_an_ordinary_one_beside_it() -> None:
    rows = [TRANSACTION, TRANSACTION | {"index": 1, "memo": "\ud800"}]
    first, second = payloads.read(body({"data": {"getTransactions": rows, "getBlocks": [BLOCK]}})).getTransactions or []
    assert json.loads(first.events) == json.loads(second.events) == [EVENT]
    assert first.memo == "hello"


@pytest.mark.parametrize("number", [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_numbers_of_64_bits_are_exact(number: int) -> None:
    transaction = read_transaction(gas_used=number, gas_wanted=number, gas_fee={"amount": number, "denom": "u"})
    assert (transaction.gas_used, transaction.gas_wanted) == (number, number)
    assert transaction.stored_fee() == f"{number}u"


@pytest.mark.parametrize(
    "changes",
    [
        {"gas_used": 2**63},
        {"gas_used": -(2**63) - 1},
        {"gas_used": 1.5},
        {"gas_used": "7"},
        {"gas_used": None},
        {"index": -1},
        {"index": 2**31},
        {"block_height": -1},
        {"block_height": 2**63},
        {"success": None},
        {"success": "true"},
        {"hash": None},
        {"memo": 5},
        {"response": None},
        {"response": {"error": ""}},
        {"response": []},
        {"gas_fee": {"amount": "1", "denom": "u"}},
        {"gas_fee": 5},
    ],
    ids=str,
)
def test_a_row_out_of_range_or_of_another_shape_is_no_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(AnswerInvalid):
        read_transaction(**changes)
    with pytest.raises(AnswerInvalid):  # and on the slow way too
        read_transaction(**changes | {"messages": [], "memo": "\ud800"} | changes)


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"7",
        b'"data"',
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"data":',
        b'{"data":{"getBlocks":[',
        b'{"data":null}',
        b"{}",
        b'{"data":5}',
        b'{"data":[]}',
        b'{"data":{"getBlocks":5}}',
        b'{"data":{"getTransactions":5}}',
        b'{"data":{"getTransactions":true}}',
        b'{"data":{"getTransactions":"rows"}}',
        b'{"data":{"getTransactions":{"a":1}}}',
        b'{"data":{"getTransactions":[null]}}',
        b'{"data":{"getTransactions":[{"response":5}]}}',
        b'{"data":{"getBlocks":[{}]}}',
        b'{"errors":5}',
        b'{"errors":[5]}',
        b'{"errors":[{"message":5}]}',
        b'{"errors":[{"message":"x","extensions":5}]}',
        b'{"data":{"latestBlockHeight":1.5}}',
        b'{"data":{"latestBlockHeight":"7"}}',
        b'{"data":{"latestBlockHeight":1e400}}',
        b'{"data":{"latestBlockHeight":' + b"9" * 5000 + b"}}",
        b'{"data":{"latestBlockHeight":NaN}}',
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"data":{"getTransactions":[{"messages":' + b"[" * 200_000,
        b'{"data":{"getTransactions":[{"memo":"\\ud800","messages":' + b"[" * 200_000,
    ],
    ids=lambda written: written[:50].decode("latin1"),
)
def test_garbage_is_no_answer(written: bytes) -> None:
    with pytest.raises(AnswerInvalid):
        payloads.read(written)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_an_answer_or_none(written: bytes) -> None:
    with contextlib.suppress(AnswerInvalid, AnswerRefused):
        payloads.read(written)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "errors", "getBlocks", "getTransactions", "response", "message", "extensions"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["data", "errors"]), json_values) | json_values)
def test_json_of_any_shape_is_an_answer_or_none(answer: Any) -> None:
    with contextlib.suppress(AnswerInvalid, AnswerRefused):
        payloads.read(body(answer))


@pytest.mark.parametrize(
    "error",
    [
        {"message": "max elements per query reached (10000)", "path": ["getBlocks"]},
        {"message": "page is cut", "extensions": {"code": "MAX_ELEMENTS_REACHED", "lastCompleteBlockHeight": 6}},
        {"message": "", "extensions": {"code": "BLOCK_EXCEEDS_MAX_ELEMENTS", "blockHeight": 7}},
    ],
)
def test_the_cap_is_known_by_message_and_by_code(error: dict[str, Any]) -> None:
    for errors in ([error], [{"message": "another first"}, error]):
        with pytest.raises(CapReached):
            payloads.read(body({"errors": errors, "data": {"getBlocks": [BLOCK]}}))


@pytest.mark.parametrize(
    "error",
    [
        {"message": "internal system error"},
        {"message": "item not found in storage", "extensions": None},
        {"message": "x", "extensions": {"code": ["MAX_ELEMENTS_REACHED"]}},
        {"message": "x", "extensions": {"code": None}},
        {},
    ],
)
def test_data_beside_an_error_is_never_taken(error: dict[str, Any]) -> None:
    with pytest.raises(AnswerRefused) as refused:
        payloads.read(body({"errors": [error], "data": {"getBlocks": [BLOCK]}}))
    assert not isinstance(refused.value, CapReached)
    assert error.get("message", "") in str(refused.value)


def test_no_errors_is_no_error() -> None:
    for errors in ("[]", "null"):
        written = b'{"errors":' + errors.encode() + b',"data":{"latestBlockHeight":7}}'
        assert payloads.read(written).latestBlockHeight == 7


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-22T08:15:59.324642018Z", datetime(2026, 11, 22, 8, 15, 59, 324642, UTC)),
        ("2026-11-22T08:15:59.3Z", datetime(2026, 11, 22, 8, 15, 59, 300000, UTC)),
        ("2026-11-22T08:15:59Z", datetime(2026, 11, 22, 8, 15, 59, 0, UTC)),
        ("2026-11-22T08:15:59.999999999Z", datetime(2026, 11, 22, 8, 15, 59, 999999, UTC)),
        ("2026-11-22T10:15:59+02:00", datetime(2026, 11, 22, 8, 15, 59, 0, UTC)),
        ("2026-11-22T08:15:59", datetime(2026, 11, 22, 8, 15, 59, 0, UTC)),
    ],
)
def test_a_time_is_kept_to_the_microsecond(written: str, expected: datetime) -> None:
    assert msgspec.convert(BLOCK | {"time": written}, BlockAnswer).stored_time() == expected
