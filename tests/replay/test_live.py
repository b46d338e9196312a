"""A source that lives: blocks appear, subscriptions hear of them, and it stops and starts at the same address."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from replay.recording import Recording
from replay.server import ReplaySource
from tests.replay.replay_client import Ask, ChainOf, WaitUntil

pytestmark = pytest.mark.indexer


BLOCKS = "subscription{getBlocks(where:{}){height}}"


@contextmanager
def _open(source: ReplaySource) -> Iterator[ClientConnection]:
    offered = [Subprotocol("graphql-transport-ws")]
    with connect(source.websocket_url, subprotocols=offered, close_timeout=0) as client:
        client.send('{"type":"connection_init","payload":{}}')
        assert _hear(client) == {"type": "connection_ack"}
        yield client


def _hear(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=10))


def _drain(client: ClientConnection) -> None:
    while True:
        client.recv(timeout=10)


def _subscribe(client: ClientConnection, name: str, query: str, variables: dict[str, Any] | None = None) -> None:
    payload = {"query": query, "variables": variables}
    client.send(json.dumps({"id": name, "type": "subscribe", "payload": payload}))


def test_start_says_how_many_blocks_are_there(gnotest: Recording) -> None:
    assert ReplaySource(gnotest).tip == 485
    assert ReplaySource(gnotest, start=10).tip == 9
    assert ReplaySource(gnotest, start=0.5).tip == 242
    assert ReplaySource(gnotest, start=0).tip is None
    assert ReplaySource(gnotest, start=10_000).tip == 485


@pytest.mark.parametrize("settings", [{"start": -1}, {"start": 1.5}, {"cap": 0}, {"blocks_per_second": -1.0}])
def test_settings_without_sense_are_refused(gnotest: Recording, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(settings))} is .*found"):
        ReplaySource(gnotest, **settings)


def test_blocks_appear_when_told_and_end_with_the_recording(chain_of: ChainOf, ask: Ask) -> None:
    with ReplaySource(chain_of(1, 2, 3, 4), start=1) as source:
        query = "{latestBlockHeight getBlocks(where:{}){height} getTransactions(where:{block_height:{gt:0}}){index}}"
        assert ask(source, query).data == {
            "latestBlockHeight": 0,
            "getBlocks": [{"height": 0}],
            "getTransactions": None,
        }
        source.advance()
        assert source.tip == 1
        assert ask(source, query).data["getTransactions"] == [{"index": 0}, {"index": 1}]
        source.advance(10)
        assert ask(source, query).data["latestBlockHeight"] == source.tip == 3


def test_blocks_appear_by_themselves(chain_of: ChainOf, wait_until: WaitUntil) -> None:
    with ReplaySource(chain_of(*[0] * 20), start=1, blocks_per_second=200) as source:
        wait_until(lambda: source.tip == 19)


def test_a_subscription_tells_every_new_block_in_order_and_no_old_one(chain_of: ChainOf, wait_until: WaitUntil) -> None:
    with ReplaySource(chain_of(*[0] * 50), start=10) as source, _open(source) as client:
        _subscribe(client, "b", BLOCKS)
        wait_until(lambda: source.subscriptions == 1)
        source.advance(2)
        source.advance(38)
        heights = [_hear(client) for _ in range(40)]
        assert heights == [
            {"payload": {"data": {"getBlocks": {"height": height}}}, "id": "b", "type": "next"}
            for height in range(10, 50)
        ]


def test_a_ping_answered_means_that_the_subscription_before_it_listens(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(0, 0), start=1) as source, _open(source) as client:
        _subscribe(client, "b", BLOCKS)
        client.send('{"type":"ping"}')
        assert _hear(client) == {"type": "pong"}
        source.advance()
        assert _hear(client)["payload"]["data"]["getBlocks"] == {"height": 1}


def test_a_subscription_to_transactions_filters_them(chain_of: ChainOf, wait_until: WaitUntil) -> None:
    query = "subscription($n:Int){getTransactions(where:{index:{gt:$n}}){block_height index}}"
    with ReplaySource(chain_of(0, 3, 1, 2), start=1) as source, _open(source) as client:
        _subscribe(client, "t", query, {"n": 0})
        wait_until(lambda: source.subscriptions == 1)
        source.advance(3)
        told = [_hear(client)["payload"]["data"]["getTransactions"] for _ in range(3)]
        assert [(row["block_height"], row["index"]) for row in told] == [(1, 1), (1, 2), (3, 1)]


def test_a_block_that_has_been_announced_can_be_queried_at_once(
    chain_of: ChainOf, ask: Ask, wait_until: WaitUntil
) -> None:
    with ReplaySource(chain_of(0, 2, 2, 2), start=1) as source, _open(source) as client:
        _subscribe(client, "b", BLOCKS)
        wait_until(lambda: source.subscriptions == 1)
        for height in (1, 2, 3):
            source.advance()
            assert _hear(client)["payload"]["data"]["getBlocks"]["height"] == height
            query = "query($h:Int){latestBlockHeight getTransactions(where:{block_height:{eq:$h}}){index}}"
            data = ask(source, query, {"h": height}).data
            assert (data["latestBlockHeight"], len(data["getTransactions"])) == (height, 2)


def test_completing_a_subscription_ends_it_and_leaves_the_others(chain_of: ChainOf, wait_until: WaitUntil) -> None:
    with ReplaySource(chain_of(*[0] * 5), start=1) as source, _open(source) as client:
        _subscribe(client, "1", BLOCKS)
        _subscribe(client, "2", BLOCKS)
        wait_until(lambda: source.subscriptions == 2)
        client.send('{"id":"1","type":"complete"}')
        assert _hear(client) == {"id": "1", "type": "complete"}
        wait_until(lambda: source.subscriptions == 1)
        source.advance()
        assert _hear(client)["id"] == "2"
    wait_until(lambda: source.subscriptions == 0)


def test_a_client_that_leaves_is_forgotten(chain_of: ChainOf, wait_until: WaitUntil) -> None:
    with ReplaySource(chain_of(0, 0, 0), start=1) as source:
        with _open(source) as client:
            _subscribe(client, "1", BLOCKS)
            wait_until(lambda: source.subscriptions == 1)
        wait_until(lambda: source.subscriptions == 0)
        source.advance()


def test_queries_run_over_the_websocket_too(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(0, 0)) as source, _open(source) as client:
        _subscribe(client, "q", "{latestBlockHeight}")
        assert _hear(client) == {"payload": {"data": {"latestBlockHeight": 1}}, "id": "q", "type": "next"}
        assert _hear(client) == {"id": "q", "type": "complete"}


def test_without_a_subprotocol_the_older_one_is_spoken(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(0)) as source, connect(source.websocket_url, close_timeout=0) as client:
        assert client.subprotocol is None
        client.send('{"type":"connection_init"}')
        assert [_hear(client)["type"] for _ in range(2)] == ["connection_ack", "ka"]


@pytest.mark.parametrize(
    ("protocols", "frames", "code"),
    [
        (["graphql-transport-ws"], ['{"id":"1","type":"subscribe","payload":{"query":"{latestBlockHeight}"}}'], 1002),
        (["graphql-transport-ws"], ["hello"], 1002),
        (["graphql-transport-ws"], ['{"type":"connection_init"}', "hello"], 1000),
        (["graphql-transport-ws"], ['{"type":"connection_init"}', '{"type":"start","payload":{}}'], 1000),
        (["graphql-ws"], ['{"type":"connection_init"}', '{"type":"connection_terminate"}'], 1000),
        (["graphql-ws"], ['{"type":"connection_init"}', '{"type":"start","payload":{"variables":[1]}}'], 1000),
        (["graphql-ws"], ['{"type":"connection_init"}', b"bytes"], 1000),
        (["something-else"], [], 1002),
    ],
)
def test_bad_manners_close_the_websocket(
    chain_of: ChainOf, protocols: list[str], frames: list[str | bytes], code: int
) -> None:
    offered = [Subprotocol(name) for name in protocols]
    with ReplaySource(chain_of(0)) as source, connect(source.websocket_url, subprotocols=offered) as client:
        for frame in frames:
            client.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            _drain(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


def test_a_foreign_origin_is_refused(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(0)) as source:
        elsewhere = {"Origin": "https://elsewhere.example"}
        with pytest.raises(InvalidStatus), connect(source.websocket_url, additional_headers=elsewhere):
            pass
        own = {"Origin": source.url.removesuffix("/graphql/query")}
        with connect(source.websocket_url, additional_headers=own, close_timeout=0):
            pass


def test_stopping_is_prompt_with_open_websockets_and_late_answers_and_frees_the_port(
    chain_of: ChainOf, ask: Ask, wait_until: WaitUntil
) -> None:
    recording = chain_of(0, 0)
    with ReplaySource(recording) as source, _open(source) as client:
        _subscribe(client, "1", BLOCKS)
        wait_until(lambda: source.subscriptions == 1)
        source.faults.late, source.faults.late_seconds = 1, 3600
        port = source.port
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            waiting.sendall(b"GET /graphql/query?query={latestBlockHeight} HTTP/1.1\r\nHost: x\r\n\r\n")
            began = time.monotonic()
            source.__exit__(None, None, None)
            assert time.monotonic() - began < 1
        with pytest.raises(ConnectionClosed):
            client.recv(timeout=10)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port))
    with ReplaySource(recording, port=port) as again:
        assert again.url == source.url
        assert ask(again, "{latestBlockHeight}").data == {"latestBlockHeight": 1}
    assert not [thread for thread in threading.enumerate() if thread.name == "replay" and not thread.daemon]


def test_a_taken_port_is_an_error(chain_of: ChainOf) -> None:
    with ReplaySource(chain_of(0)) as source, pytest.raises(OSError, match="in use"):
        ReplaySource(chain_of(0), port=source.port).__enter__()
