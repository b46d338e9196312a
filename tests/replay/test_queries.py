"""What queries mean: filters, windows, order, the cap, and strings and numbers that are hard to carry."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3

from replay.filters import EVERYTHING, NOTHING, window
from replay.recording import Recording
from replay.server import ReplaySource
from tests.replay.replay_client import Ask

pytestmark = pytest.mark.indexer


def _heights(where: str, source: ReplaySource, ask: Ask) -> Any:
    rows = ask(source, "{getBlocks(where:" + where + "){height}}").data["getBlocks"]
    return rows if rows is None else [row["height"] for row in rows]


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("{height:{gt:3,lt:6}}", [4, 5]),
        ("{height:{lt:2}}", [0, 1]),
        ("{height:{eq:0}}", [0]),
        ("{height:{gt:483}}", [484, 485]),
        ("{height:{gt:485}}", None),
        ("{height:{gt:5,lt:6}}", None),
        ("{height:{gt:-1,lt:6}}", None),
        ("{height:{lt:0}}", None),
        ("{height:{eq:4,gt:4}}", None),
        ("{_and:[{height:{gt:3}},{height:{lt:6}}]}", [4, 5]),
        ("{_and:[{height:{gt:-1}}],height:{lt:6}}", None),
        ("{_or:[{height:{eq:4}},{height:{eq:9}}]}", [4, 9]),
        ("{height:{lt:9},_or:[{height:{gt:6}},{num_txs:{gt:50}}]}", [0, 7, 8]),
        ("{height:{lt:6},_not:{height:{lt:4}}}", [4, 5]),
        ("{height:{lt:6},_not:{height:{gt:-1}}}", None),
        ("{height:{lt:3},_not:{_or:[{height:{eq:0}},{height:{eq:2}}]}}", [1]),
        ("{num_txs:{gt:60}}", [0, 132, 133]),
        ('{chain_id:{eq:"gnotest-1"},height:{lt:2}}', [0, 1]),
        ("{height:{exists:true,lt:2}}", [0, 1]),
        ("{height:{exists:false}}", None),
        ('{hash:{like:"^nizP"}}', [1]),
        ('{hash:{like:"niz%"}}', None),
        ('{hash:{like:"("}}', None),
        ("{hash:null,height:{eq:3}}", [3]),
        ('{time:{before:"2026-11-22T08:15:58.302954440Z"}}', [0, 1]),
        ('{time:{eq:"2026-11-22T09:15:58.30295444+01:00"}}', [2]),
        ('{height:{lt:4},time:{after:"2026-11-22T08:15:58.302954439Z"}}', [2, 3]),
        ('{height:{gt:0},txs:{fee:{gas_fee:{denom:{eq:"ugnot"}}},memo:{eq:"run script"}}}', [155]),
    ],
)
def test_where_selects_blocks(whole: ReplaySource, ask: Ask, where: str, wanted: list[int] | None) -> None:
    assert _heights(where, whole, ask) == wanted


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({}, EVERYTHING),
        ({"height": {"gt": 3, "lt": 6}}, (4, 5)),
        ({"height": {"eq": 7, "lt": None}}, (7, 7)),
        ({"height": {"gt": 3}, "_and": [{"height": {"lt": 9}}, {"success": {"eq": True}}]}, (4, 8)),
        ({"_or": [{"height": {"eq": 4}}, {"height": {"gt": 6, "lt": 9}}]}, (4, 8)),
        ({"_or": [{"height": {"eq": 4}}, {"success": {"eq": True}}]}, EVERYTHING),
        ({"_not": {"height": {"eq": 4}}}, EVERYTHING),
        ({"_or": [{"height": {"eq": 4}}, {"height": {"gt": -1}}]}, NOTHING),
    ],
)
def test_only_the_heights_a_filter_can_match_are_read(where: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert window(where, "height") == wanted


def _reference(gnotest: Recording, wanted: Any) -> list[tuple[int, int]]:
    return [(row["block_height"], row["index"]) for row in gnotest.transactions if wanted(row)]


def _events(row: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in row["response"]["events"] if event["__typename"] == kind]


def _attributes(event: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attribute["key"], attribute["value"]) for attribute in event["attrs"] or ()]


FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"
TRANSACTIONS = [
    ("{success:{eq:false}}", lambda row: not row["success"]),
    ('{memo:{like:"^value "}}', lambda row: row["memo"].startswith("value ")),
    ("{gas_fee:{amount:{gt:1}}}", lambda row: row["gas_fee"]["amount"] > 1),
    ("{messages:{value:{MsgRun:{}}}}", lambda row: any(m["value"]["__typename"] == "MsgRun" for m in row["messages"])),
    (
        '{messages:{value:{MsgCall:{args:{eq:"PERUN"}}}}}',
        lambda row: any("PERUN" in (m["value"].get("args") or ()) for m in row["messages"]),
    ),
    (
        "{messages:{value:{BankMsgSend:{},MsgRun:{}}}}",
        lambda row: any(m["value"]["__typename"] in ("BankMsgSend", "MsgRun") for m in row["messages"]),
    ),
    (
        '{response:{events:{GnoEvent:{type:{eq:"NewToken"}}}}}',
        lambda row: any(event["type"] == "NewToken" for event in _events(row, "GnoEvent")),
    ),
    (
        "{response:{events:{StorageUnlockEvent:{bytes_delta:{lt:-100}}}}}",
        lambda row: any(event["bytes_delta"] < -100 for event in _events(row, "StorageUnlockEvent")),
    ),
    # One attribute must satisfy the whole filter ...
    (
        '{response:{events:{GnoEvent:{attrs:{key:{eq:"from"},value:{eq:""}}}}}}',
        lambda row: any(("from", "") in _attributes(event) for event in _events(row, "GnoEvent")),
    ),
    # ... and for two attributes of one event there is _and, at the level of the event.
    (
        '{response:{events:{GnoEvent:{_and:[{attrs:{key:{eq:"from"},value:{eq:""}}},'
        '{attrs:{value:{eq:"' + FOO + '"}}}]}}}}',
        lambda row: any(
            ("from", "") in _attributes(event) and FOO in dict(_attributes(event)).values()
            for event in _events(row, "GnoEvent")
        ),
    ),
    ("{response:{events:{UnknownEvent:{}}}}", lambda row: False),
    ("{index:{eq:63}}", lambda row: row["index"] == 63),
    ("{index:{gt:-1}}", lambda row: False),
    (
        "{block_height:{gt:131,lt:134},index:{gt:61}}",
        lambda row: row["block_height"] in (132, 133) and row["index"] > 61,
    ),
]


@pytest.mark.parametrize(("where", "wanted"), TRANSACTIONS, ids=[where for where, _wanted in TRANSACTIONS])
def test_where_selects_transactions(whole: ReplaySource, ask: Ask, gnotest: Recording, where: str, wanted: Any) -> None:
    rows = ask(whole, "{getTransactions(where:" + where + "){block_height index}}").data["getTransactions"]
    expected = _reference(gnotest, wanted)
    assert rows == ([{"block_height": height, "index": index} for height, index in expected] or None)


def test_a_message_that_cannot_be_named_passes_every_filter_on_members(ask: Ask) -> None:
    messages = [{"value": {"__typename": "MsgFuture", "caller": "g1"}}]
    rows = [{"block_height": 0, "index": 0, "messages": messages}]
    with ReplaySource(Recording.from_rows([{"height": 0}], rows)) as source:
        query = '{getTransactions(where:{messages:{value:{MsgCall:{func:{eq:"X"}}}}}){index}}'
        assert ask(source, query).data == {"getTransactions": [{"index": 0}]}


@pytest.mark.parametrize("hash_of", ["jrPNwDsiLFk/8wAEt+FiKnGic3T+SLLFGPGjy37viYI="])
def test_a_hash_finds_its_transaction_and_an_unknown_one_errs(whole: ReplaySource, ask: Ask, hash_of: str) -> None:
    query = "query($where:FilterTransaction!){getTransactions(where:$where){block_height}}"
    found = ask(whole, query, {"where": {"hash": {"eq": hash_of}}})
    assert found.json == {"data": {"getTransactions": [{"block_height": 132}]}}
    elsewhere = ask(whole, query, {"where": {"hash": {"eq": hash_of}, "block_height": {"eq": 1}}})
    assert elsewhere.json == {"data": {"getTransactions": None}}
    missing = ask(whole, query, {"where": {"hash": {"eq": "nowhere"}}})
    assert missing.status == 200
    assert missing.data == {"getTransactions": None}
    assert missing.errors[0]["message"] == "item not found in storage"
    assert missing.errors[0]["path"] == ["getTransactions"]


def test_one_row_less_than_the_cap_comes_without_an_error(gnotest: Recording, ask: Ask) -> None:
    with ReplaySource(gnotest, cap=10) as source:
        answer = ask(source, "{getBlocks(where:{height:{lt:9}}){height}}")
        assert [row["height"] for row in answer.data["getBlocks"]] == list(range(9))
        assert "errors" not in answer.json


def test_exactly_the_cap_errs_with_all_the_rows(gnotest: Recording, ask: Ask) -> None:
    with ReplaySource(gnotest, cap=10) as source:
        answer = ask(source, "{rows:getBlocks(where:{height:{lt:10}}){height}}")
        assert answer.status == 200
        assert list(answer.json) == ["errors", "data"]
        assert answer.errors == [{"message": "max elements per query reached (10)", "path": ["rows"]}]
        assert [row["height"] for row in answer.data["rows"]] == list(range(10))


def test_the_cap_keeps_the_first_rows_of_the_order_asked_and_cuts_inside_a_block(gnotest: Recording, ask: Ask) -> None:
    with ReplaySource(gnotest, cap=100) as source:
        newest = ask(source, "{getBlocks(where:{},order:{height:DESC}){height}}")
        assert [row["height"] for row in newest.data["getBlocks"]] == list(range(485, 385, -1))
        assert len(newest.errors) == 1
        two_blocks = "where:{block_height:{gt:131,lt:134}},order:{heightAndIndex:%s}"
        for order, last in (("ASC", (133, 1)), ("DESC", (132, 62))):
            rows = ask(source, "{getTransactions(%s){block_height index}}" % (two_blocks % order)).data[
                "getTransactions"
            ]
            assert len(rows) == 100
            assert (rows[-1]["block_height"], rows[-1]["index"]) == last


def test_each_root_field_has_a_cap_of_its_own(gnotest: Recording, ask: Ask) -> None:
    with ReplaySource(gnotest, cap=10) as source:
        query = "{a:getBlocks(where:{height:{lt:9}}){height} b:getBlocks(where:{}){height}"
        query += " c:getTransactions(where:{}){index}}"
        answer = ask(source, query)
        assert [len(answer.data[name]) for name in "abc"] == [9, 10, 10]
        assert [error["path"] for error in answer.errors] == [["b"], ["c"]]


@pytest.mark.parametrize("amount", [2**63 - 1, -(2**63), 2**31, 2**53 + 1])
def test_integers_are_64_bits_wide_in_answers_literals_and_variables(ask: Ask, amount: int) -> None:
    transaction = {"block_height": 0, "index": 0, "gas_used": amount, "gas_fee": {"amount": amount, "denom": "ugnot"}}
    query = "query($n:Int){a:getTransactions(where:{gas_used:{eq:$n}}){gas_used gas_fee{amount}}"
    query += " b:getTransactions(where:{gas_fee:{amount:{eq:" + str(amount) + "}}}){index}}"
    with ReplaySource(Recording.from_rows([{"height": 0}], [transaction])) as source:
        for variable in (amount, str(amount)):
            answer = ask(source, query, {"n": variable})
            assert answer.data == {"a": [{"gas_used": amount, "gas_fee": {"amount": amount}}], "b": [{"index": 0}]}


@pytest.mark.parametrize("value", ["x", 1.5, True, 2**63, [1, 2], ""])
def test_a_variable_that_is_no_integer_is_refused(whole: ReplaySource, ask: Ask, value: Any) -> None:
    answer = ask(whole, "query($a:Int){getBlocks(where:{height:{gt:$a}}){height}}", {"a": value})
    assert answer.status == 422
    assert answer.data is None
    assert answer.errors[0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}


def test_strange_strings_arrive_as_they_are(ask: Ask) -> None:
    memo = 'nul \x00, half a pair \ud800, quote ", \u2028, кот, 🐱, \x7f'
    transaction = {"block_height": 0, "index": 0, "memo": memo}
    with ReplaySource(Recording.from_rows([{"height": 0}], [transaction])) as source:
        answer = ask(source, "{getTransactions(where:{}){memo}}")
        assert json.loads(answer.body.decode("utf-8"))["data"]["getTransactions"] == [{"memo": memo}]
        assert b"\\ud800" in answer.body
        assert "кот, 🐱".encode() in answer.body


def test_surrogate_escapes_are_sent_as_raw_bytes(ask: Ask) -> None:
    raw = b"caf\xe9 \xff\xfe"
    transaction = {"block_height": 0, "index": 0, "memo": raw.decode("utf-8", "surrogateescape")}
    with ReplaySource(Recording.from_rows([{"height": 0}], [transaction])) as source:
        assert raw in ask(source, "{getTransactions(where:{}){memo}}").body


def test_a_selection_may_use_aliases_fragments_and_directives(whole: ReplaySource, ask: Ask) -> None:
    query = """
        query($yes: Boolean!, $no: Boolean!) {
          getTransactions(where: {block_height: {eq: 56}}) {
            height: block_height ...Outcome
            hash @include(if: $no) index @skip(if: $yes)
            response { error }
            messages { value { kind: __typename ... on MsgCall { func } ... on MsgRun { caller } } }
          }
        }
        fragment Outcome on Transaction { success response { info } __typename }
    """
    rows = ask(whole, query, {"yes": True, "no": False}).data["getTransactions"]
    assert rows == [
        {
            "height": 56,
            "success": True,
            "response": {"info": "", "error": ""},
            "__typename": "Transaction",
            "messages": [{"value": {"kind": "MsgCall", "func": "Airdrop"}}],
        }
    ]


def test_an_empty_chain_has_no_height_and_no_rows(ask: Ask) -> None:
    with ReplaySource(Recording.from_rows([], [])) as source:
        height = ask(source, "{latestBlockHeight}")
        assert (height.status, height.data) == (200, None)
        assert height.errors[0]["message"] == "item not found in storage"
        assert ask(source, "{getBlocks(where:{}){height}}").json == {"data": {"getBlocks": None}}
        assert source.tip is None


def test_the_event_field_func_is_refused_as_by_servers_of_today(whole: ReplaySource, ask: Ask) -> None:
    answer = ask(whole, "{getTransactions(where:{}){response{events{... on GnoEvent{func}}}}}")
    assert answer.status == 422


def test_a_body_above_one_mebibyte_is_answered_200_with_an_error(whole: ReplaySource, ask: Ask) -> None:
    answer = ask(whole, "{latestBlockHeight}" + " " * (1 << 20))
    assert answer.status == 200
    assert "too large" in answer.errors[0]["message"]


def test_health_and_ready_are_always_200_and_tell_the_height(gnotest: Recording) -> None:
    with ReplaySource(gnotest) as source, ReplaySource(Recording.from_rows([], [])) as empty:
        for path, good, bad in (
            ("/health", "Server is responding", "storage is not reachable"),
            ("/ready", "node is ready", "node not ready"),
        ):
            answer = urllib3.request("GET", source.url.replace("/graphql/query", path))
            assert (answer.status, answer.json()["message"], answer.json()["info"]["height"]) == (200, good, 485)
            answer = urllib3.request("GET", empty.url.replace("/graphql/query", path))
            assert answer.status == 200
            assert answer.json()["message"].startswith(bad)
            assert "height" not in answer.json()["info"]


def test_requests_are_remembered_with_their_variables(gnotest: Recording, ask: Ask) -> None:
    with ReplaySource(gnotest) as source:
        ask(source, "query($h:Int){getBlocks(where:{height:{eq:$h}}){height}}", {"h": 3})
        ask(source, "{nope}")
        assert [(request.variables, request.status) for request in source.requests] == [({"h": 3}, 200), ({}, 422)]
        assert source.requests[1].query == "{nope}"
