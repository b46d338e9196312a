"""Reading folders: what they may lack, what they may hold that nobody knows, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replay.recording import Recording, RecordingError, load_recording
from replay.server import ReplaySource
from tests.replay.replay_client import RECORDINGS, Ask

pytestmark = pytest.mark.indexer


def _folder(path: Path, blocks: str = "", transactions: str = "") -> Path:
    (path / "blocks.jsonl").write_text(blocks)
    (path / "transactions.jsonl").write_text(transactions)
    return path


def _everything(of_type: str, ask: Ask, source: ReplaySource) -> str:
    """A selection of every field the schema says a type has."""
    query = (
        "query($n:String!){__type(name:$n){kind fields{name type{...T}} possibleTypes{name}}} "
        "fragment T on __Type{name kind ofType{name kind ofType{name kind ofType{name kind}}}}"
    )
    described = ask(source, query, {"n": of_type}).data["__type"]
    if described["kind"] in ("SCALAR", "ENUM"):
        return ""
    if described["kind"] == "UNION":
        members = [member["name"] for member in described["possibleTypes"]]
        # Each field under a name of its own: members give one name different types.
        parts = [f"... on {member} {_prefixed(member, _everything(member, ask, source))}" for member in members]
        return "{__typename " + " ".join(parts) + "}"
    parts = []
    for field in described["fields"]:
        named = field["type"]
        while named.get("ofType"):
            named = named["ofType"]
        parts.append(field["name"] + _everything(named["name"], ask, source))
    return "{" + " ".join(parts) + "}"


def _prefixed(member: str, selection: str) -> str:
    depth, words = 0, []
    for word in selection.replace("{", " { ").replace("}", " } ").split():
        depth += (word == "{") - (word == "}")
        words.append(f"{member}_{word}:{word}" if depth == 1 and word not in "{}" else word)
    return " ".join(words)


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in RECORDINGS.glob("*/blocks.jsonl")), ids=lambda p: p.name
)
def test_every_field_of_every_recorded_row_can_be_asked(folder: Path, ask: Ask) -> None:
    recording = load_recording(folder)
    with ReplaySource(recording) as source:
        for root, kind, rows in (
            ("getBlocks", "Block", recording.blocks),
            ("getTransactions", "Transaction", recording.transactions),
        ):
            answer = ask(source, "{" + root + "(where:{})" + _everything(kind, ask, source) + "}")
            assert answer.status == 200, answer.body
            assert "errors" not in answer.json
            answers = answer.data[root]
            assert len(answers) == len(rows)
            for given, row in zip(answers, rows, strict=True):
                scalars = {name: value for name, value in row.items() if not isinstance(value, list | dict)}
                assert scalars.items() <= given.items()


def test_what_a_recording_lacks_is_null_or_empty_as_the_type_demands(ask: Ask) -> None:
    rows = [{"block_height": 0, "index": 0, "messages": [{"value": {"__typename": "MsgRun"}}]}]
    query = """{
        getBlocks(where: {}) { height hash time num_txs txs { hash } }
        getTransactions(where: {}) {
            hash success gas_used memo content_raw gas_fee { amount } signatures { pub_key }
            messages { typeUrl value { ... on MsgRun { caller package { name files { body } } } } }
            response { log events { __typename } }
        }
    }"""
    with ReplaySource(Recording.from_rows([{"height": 0}], rows)) as source:
        assert ask(source, query).json == {
            "data": {
                "getBlocks": [{"height": 0, "hash": "", "time": "0001-01-01T00:00:00Z", "num_txs": 0, "txs": []}],
                "getTransactions": [
                    {
                        "hash": "",
                        "success": False,
                        "gas_used": 0,
                        "memo": "",
                        "content_raw": "",
                        "gas_fee": None,
                        "signatures": None,
                        "messages": [{"typeUrl": "", "value": {"caller": "", "package": {"name": "", "files": None}}}],
                        "response": {"log": "", "events": None},
                    }
                ],
            }
        }


def test_members_nobody_knows_are_answered_as_unexpected_and_unknown(ask: Ask) -> None:
    message = {"typeUrl": "x", "value": {"__typename": "MsgFuture", "who": "g1", "n": 1}}
    events = [{"__typename": "TransferEvent", "from": "a"}, {"value": "{}"}, {"__typename": "GnoEvent", "func": "F"}]
    row = {"block_height": 0, "index": 0, "messages": [message], "response": {"events": events}}
    query = """{getTransactions(where: {}) {
        messages { value { __typename ... on UnexpectedMessage { raw } } }
        response { events { __typename ... on UnknownEvent { value } ... on GnoEvent { type attrs { key } } } }
    }}"""
    with ReplaySource(Recording.from_rows([{"height": 0}], [row])) as source:
        assert ask(source, query).data["getTransactions"] == [
            {
                "messages": [{"value": {"__typename": "UnexpectedMessage", "raw": '{"who":"g1","n":1}'}}],
                "response": {
                    "events": [
                        {"__typename": "UnknownEvent", "value": '{"from":"a"}'},
                        {"__typename": "UnknownEvent", "value": "{}"},
                        {"__typename": "GnoEvent", "type": "", "attrs": None},
                    ]
                },
            }
        ]


def test_an_older_deposit_is_answered_as_send_too(ask: Ask) -> None:
    value = {"__typename": "MsgAddPackage", "deposit": "5ugnot"}
    row = {"block_height": 0, "index": 0, "messages": [{"value": value}]}
    with ReplaySource(Recording.from_rows([{"height": 0}], [row])) as source:
        query = "{getTransactions(where:{}){messages{value{... on MsgAddPackage{send deposit max_deposit}}}}}"
        assert ask(source, query).data["getTransactions"][0]["messages"] == [
            {"value": {"send": "5ugnot", "deposit": "5ugnot", "max_deposit": ""}}
        ]


def test_rows_may_come_in_any_order_and_heights_may_have_holes(ask: Ask) -> None:
    blocks = [{"height": height} for height in (7, 0, 5)]
    transactions = [{"block_height": 5, "index": index} for index in (1, 0)] + [{"block_height": 0, "index": 0}]
    with ReplaySource(Recording.from_rows(blocks, transactions), start=2) as source:
        query = "{latestBlockHeight getBlocks(where:{}){height} getTransactions(where:{}){block_height index}}"
        data = ask(source, query).data
        assert data["latestBlockHeight"] == 5
        assert [row["height"] for row in data["getBlocks"]] == [0, 5]
        assert [(row["block_height"], row["index"]) for row in data["getTransactions"]] == [(0, 0), (5, 0), (5, 1)]
        source.advance()
        assert source.tip == 7


def test_a_folder_needs_no_chain_json_and_keeps_raw_bytes(tmp_path: Path, ask: Ask) -> None:
    _folder(tmp_path, '{"height":0,"chain_id":"c"}\n\n')
    (tmp_path / "transactions.jsonl").write_bytes(b'{"block_height":0,"index":0,"memo":"\xff\\ud800"}\n')
    recording = load_recording(tmp_path)
    assert recording.chain_id == "c"
    with ReplaySource(tmp_path) as source:
        assert b'"memo":"\xff\\ud800"' in ask(source, "{getTransactions(where:{}){memo}}").body


def test_a_truncated_recording_is_the_same_chain_up_to_there(gnotest: Recording) -> None:
    short = gnotest.truncated(100)
    assert short.heights == list(range(100))
    assert {row["block_height"] for row in short.transactions} <= set(range(100))
    assert short.transactions_at(56) == gnotest.transactions_at(56) != []


@pytest.mark.parametrize(
    ("blocks", "transactions", "complaint"),
    [
        ('{"height":0}\n{"height":', "", r"blocks\.jsonl, line 2: not JSON"),
        ("[]", "", r"blocks\.jsonl, line 1: wanted a JSON object"),
        ('{"height":"0"}', "", r"blocks\.jsonl, line 1: wanted height, an integer of 0 or more, found '0'"),
        ('{"height":0}', '{"block_height":0}', r"transactions\.jsonl, line 1: wanted index, .* found None"),
        ('{"height":0}\n{"height":0}', "", "block 2: height 0 is there twice"),
    ],
)
def test_a_bad_line_is_named_with_its_file(tmp_path: Path, blocks: str, transactions: str, complaint: str) -> None:
    with pytest.raises(RecordingError, match=complaint):
        load_recording(_folder(tmp_path, blocks, transactions))


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="nowhere: no such folder"):
        load_recording(tmp_path / "nowhere")
    with pytest.raises(RecordingError, match=r"blocks\.jsonl: cannot be read: No such file"):
        load_recording(tmp_path)
    (_folder(tmp_path) / "chain.json").write_text(json.dumps({"chain_id": 5}))
    with pytest.raises(RecordingError, match=r"chain\.json: wanted an object with a string chain_id"):
        load_recording(tmp_path)
