"""Each fault, switched on while a source runs, and off again."""

from __future__ import annotations

import time

import pytest
import urllib3
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.replay.replay_client import Ask, ChainOf, WaitUntil

pytestmark = pytest.mark.indexer


HEIGHT = "{latestBlockHeight}"
INTROSPECTION = '{__type(name:"GnoEvent"){fields{name}}}'


def _places(source: ReplaySource, ask: Ask, where: str = "{}") -> list[tuple[int, int]]:
    rows = ask(source, "{getTransactions(where:" + where + "){block_height index}}").data["getTransactions"]
    return [(row["block_height"], row["index"]) for row in rows or ()]


def _heights(source: ReplaySource, ask: Ask) -> list[int]:
    return [row["height"] for row in ask(source, "{getBlocks(where:{}){height}}").data["getBlocks"] or ()]


def test_an_answer_comes_late(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1), faults=Faults(late=1, late_seconds=0.2)) as source:
        began = time.monotonic()
        assert ask(source, HEIGHT).data == {"latestBlockHeight": 0}
        assert time.monotonic() - began >= 0.2


def test_too_many_requests_says_when_to_come_back(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1)) as source:
        source.faults.too_many_requests, source.faults.retry_after = 1, 7
        answer = ask(source, HEIGHT)
        assert answer.status == 429
        assert answer.headers["Retry-After"] == "7"
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert answer.json == {"error": "too many requests"}
        source.faults.too_many_requests = 0
        assert ask(source, HEIGHT).status == 200
        assert [request.status for request in source.requests] == [429, 200]


def test_a_server_error_is_a_page_and_no_json(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1), faults=Faults(server_error=1)) as source:
        answer = ask(source, HEIGHT)
        assert answer.status == 500
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"<html>" in answer.body


def test_a_cut_body_ends_before_its_length(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1)) as source:
        source.faults.cut_body = 1
        with pytest.raises(urllib3.exceptions.ProtocolError, match="IncompleteRead"):
            ask(source, HEIGHT)
        source.faults.cut_body = 0
        assert ask(source, HEIGHT).status == 200


def test_the_same_seed_gives_the_same_faults(chain_of: ChainOf, ask: Ask) -> None:
    def statuses(seed: int) -> list[int]:
        with ReplaySource(chain_of(1), faults=Faults(seed, too_many_requests=0.3, server_error=0.3)) as source:
            return [ask(source, HEIGHT).status for _ in range(30)]

    first = statuses(1)
    assert set(first) == {200, 429, 500}
    assert statuses(1) == first
    assert statuses(2) != first


@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan")])
def test_a_chance_outside_zero_to_one_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="cut_body is a chance"):
        Faults(cut_body=chance)


def test_a_block_is_announced_before_its_transactions_can_be_queried(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 2, 3), start=1, faults=Faults(announce_early=3600)) as source:
        source.advance()
        assert ask(source, HEIGHT).data == {"latestBlockHeight": 1}
        assert _heights(source, ask) == [0, 1]
        assert _places(source, ask) == [(0, 0)]
        assert ask(source, '{getTransactions(where:{hash:{eq:"tx1.0"}}){index}}').data == {"getTransactions": None}
        source.faults.announce_early = 0
        assert _places(source, ask) == [(0, 0), (1, 0), (1, 1)]
        source.faults.announce_early = 3600
        assert len(_places(source, ask)) == 3, "what could be queried once is not taken back"
        source.advance()
        assert len(_places(source, ask)) == 3


def test_a_block_is_announced_before_it_can_be_queried(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 2, 3), start=1, faults=Faults(announce_before_block=3600)) as source:
        source.advance(2)
        assert source.tip == 0
        assert ask(source, HEIGHT).data == {"latestBlockHeight": 0}
        assert _heights(source, ask) == [0]
        assert _places(source, ask) == [(0, 0)]
        source.faults.announce_before_block = 0
        assert source.tip == 2
        assert _heights(source, ask) == [0, 1, 2]
        assert len(_places(source, ask)) == 6


def test_an_early_announcement_is_made_good_after_its_time(chain_of: ChainOf, ask: Ask, wait_until: WaitUntil) -> None:
    faults = Faults(announce_before_block=0.05, announce_early=0.05)
    with ReplaySource(chain_of(1, 2), start=1, faults=faults) as source:
        source.advance()
        assert source.tip == 0
        wait_until(lambda: source.tip == 1)
        wait_until(lambda: len(_places(source, ask)) == 3)


def test_a_transaction_is_missing_at_first(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 3, 1), faults=Faults(missing_transactions={1: 2})) as source:
        assert _places(source, ask) == [(0, 0), (1, 0), (1, 1), (2, 0)]
        assert _places(source, ask, "{block_height:{eq:2}}") == [(2, 0)], "another height does not count as an ask"
        assert _places(source, ask, "{block_height:{eq:1}}") == [(1, 0), (1, 1)]
        assert _places(source, ask, "{block_height:{eq:1}}") == [(1, 0), (1, 1), (1, 2)]
        assert len(_places(source, ask)) == 5


def test_a_transaction_is_missing_for_ever(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 1), faults=Faults(missing_transactions={1: -1})) as source:
        assert [_places(source, ask) for _ in range(3)] == [[(0, 0)]] * 3
        assert ask(source, "{getBlocks(where:{height:{eq:1}}){num_txs}}").data["getBlocks"] == [{"num_txs": 1}]


def test_missing_blocks_have_neither_row_nor_transactions_and_the_tip_stays(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 1, 1), faults=Faults(missing_blocks={0, 2})) as source:
        assert _heights(source, ask) == [1]
        assert _places(source, ask) == [(1, 0)]
        assert source.tip == 2
        assert ask(source, '{getTransactions(where:{hash:{eq:"tx0.0"}}){index}}').data == {"getTransactions": None}


def test_another_chain_answers_under_the_same_address(gnotest: Recording, ask: Ask) -> None:
    query = "{latestBlockHeight getBlocks(where:{height:{lt:4}}){chain_id hash last_block_hash txs{hash}}}"
    with ReplaySource(gnotest, start=100) as source:
        first = ask(source, query).data
        source.faults.other_chain = True
        other = ask(source, query).data
        assert other["latestBlockHeight"] == first["latestBlockHeight"] == 99
        assert {block["chain_id"] for block in other["getBlocks"]} == {"other-chain"}
        for mine, theirs in zip(first["getBlocks"][1:], other["getBlocks"][1:], strict=True):
            assert mine["hash"] != theirs["hash"]
        assert other["getBlocks"][3]["last_block_hash"] == other["getBlocks"][2]["hash"]
        source.advance()
        assert source.tip == 100
        source.faults.other_chain = False
        assert ask(source, query).data == first | {"latestBlockHeight": 100}


def test_another_recording_answers_under_the_same_address(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 1, 1), faults=Faults(other_chain=chain_of(4))) as source:
        assert source.tip == 0
        assert len(_places(source, ask)) == 4
        source.faults.other_chain = False
        assert source.tip == 2


def test_a_websocket_is_refused_with_403(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(1), faults=Faults(refuse_websocket=True)) as source:
        with pytest.raises(InvalidStatus) as refused, connect(source.websocket_url):
            pass
        assert refused.value.response.status_code == 403
        source.faults.refuse_websocket = False
        with connect(source.websocket_url, close_timeout=0):
            pass


def test_a_silent_websocket_acknowledges_and_says_nothing_more(chain_of: ChainOf) -> None:
    with (
        ReplaySource(chain_of(1, 1), start=1, faults=Faults(silent_websocket=True)) as source,
        connect(source.websocket_url, close_timeout=0) as client,
    ):
        client.send('{"type":"connection_init"}')
        assert client.recv(timeout=10) == '{"type":"connection_ack"}'
        client.send('{"id":"1","type":"start","payload":{"query":"subscription{getBlocks(where:{}){height}}"}}')
        client.send('{"id":"2","type":"start","payload":{"query":"{latestBlockHeight}"}}')
        source.advance()
        with pytest.raises(TimeoutError):
            client.recv(timeout=0.1)


def test_introspection_can_be_disabled(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1)) as source:
        assert ask(source, INTROSPECTION).data["__type"]["fields"] == [
            {"name": "type"},
            {"name": "pkg_path"},
            {"name": "attrs"},
        ]
        source.faults.introspection_disabled = True
        hidden = "{...F} fragment F on Query {__schema{queryType{name}}}"
        for query in (INTROSPECTION, "{__schema{types{name}}}", hidden):
            answer = ask(source, query)
            assert answer.status == 200
            assert answer.json == {"errors": [{"message": "introspection disabled"}], "data": None}
        assert ask(source, "{__typename latestBlockHeight}").data["latestBlockHeight"] == 0


@pytest.mark.parametrize(
    ("removed", "query"),
    [
        ("Transaction.signatures", "{getTransactions(where:{}){signatures{pub_key}}}"),
        ("MsgCall.max_deposit", "{getTransactions(where:{}){messages{value{... on MsgCall{max_deposit}}}}}"),
        (
            "Event.StorageDepositEvent",
            "{getTransactions(where:{}){response{events{... on StorageDepositEvent{type}}}}}",
        ),
        ("FilterTransaction.success", "{getTransactions(where:{success:{eq:true}}){index}}"),
        ("Query.latestBlockHeight", HEIGHT),
    ],
)
def test_a_server_of_another_age_refuses_what_it_does_not_know(
    gnotest: Recording, ask: Ask, removed: str, query: str
) -> None:
    with ReplaySource(gnotest, start=20) as source:
        assert ask(source, query).status == 200
        source.faults.fields_removed = {removed}
        answer = ask(source, query)
        assert (answer.status, answer.data) == (422, None)
        assert answer.errors[0]["extensions"] == {"code": "GRAPHQL_VALIDATION_FAILED"}
        known = ask(source, "{getTransactions(where:{}){index response{events{__typename}}}}")
        assert known.status == 200
        kinds = {event["__typename"] for row in known.data["getTransactions"] for event in row["response"]["events"]}
        assert ("UnknownEvent" in kinds) == (removed == "Event.StorageDepositEvent")
        source.faults.fields_removed = ()
        assert ask(source, query).status == 200


def test_removing_what_the_schema_does_not_have_is_an_error(chain_of: ChainOf) -> None:
    with pytest.raises(ValueError, match=r"no GnoEvent\.func in the schema"):
        ReplaySource(chain_of(1), faults=Faults(fields_removed={"GnoEvent.func"}))
