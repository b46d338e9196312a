"""Every recorded HTTP pair and every recorded websocket conversation, played against the replay of its folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from replay import conversation as conversation_module
from replay.server import ReplaySource
from tests.replay.replay_client import RECORDINGS

pytestmark = pytest.mark.indexer


def _recorded(file: str) -> list[Any]:
    cases = []
    for path in sorted(RECORDINGS.glob(f"*/{file}")):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            case = json.loads(line)
            label = f"{path.parent.name}:{number} {case.get('subprotocol', '')} {case['name']}"
            cases.append(pytest.param(path.parent, case, id=label))
    return cases


@pytest.fixture(scope="module")
def sources() -> Iterator[dict[Path, ReplaySource]]:
    started: dict[Path, ReplaySource] = {}
    yield started
    for source in started.values():
        source.__exit__(None, None, None)


@pytest.mark.parametrize(("folder", "pair"), _recorded("replies.jsonl"))
def test_a_recorded_request_is_answered_as_recorded(
    sources: dict[Path, ReplaySource], folder: Path, pair: dict[str, Any]
) -> None:
    if folder not in sources:
        sources[folder] = ReplaySource(folder).__enter__()
    source = sources[folder]
    text = pair["request_text"] if "request_text" in pair else json.dumps(pair["request"])
    content_type = pair.get("content_type", "application/json")
    answer = urllib3.request(
        pair["method"],
        source.url + pair.get("path", ""),
        body=text.encode() or None,
        headers={"Content-Type": content_type} if content_type else {},
        retries=False,
    )
    wanted = pair["response"]
    assert answer.status == wanted["status"]
    assert answer.headers.get("Content-Type") == wanted["content_type"]
    assert answer.headers.get("Retry-After") == wanted["retry_after"]
    if not wanted["body"]:
        assert answer.data == b""
        return
    given, recorded = json.loads(answer.data), json.loads(wanted["body"])
    assert list(given) == list(recorded), "errors come before data, and only when there are any"
    assert given["data"] == _at_the_tip(recorded["data"], source)
    # The words are the library's; what a client can act on must be the same.
    assert [_gist(error) for error in given.get("errors", ())] == [_gist(error) for error in recorded.get("errors", ())]


def _at_the_tip(data: Any, source: ReplaySource) -> Any:
    """The recorded data with the tip of the folder: the chain had run on when the replies were taken."""
    return data | {"latestBlockHeight": source.tip} if data and "latestBlockHeight" in data else data


def _gist(error: dict[str, Any]) -> Any:
    return error.get("extensions")


@pytest.mark.parametrize(("folder", "conversation"), _recorded("websocket.jsonl"))
def test_a_recorded_conversation_goes_as_recorded(
    monkeypatch: pytest.MonkeyPatch, folder: Path, conversation: dict[str, Any]
) -> None:
    # Ten seconds on the wire; the kind and order of frames is what counts here.
    monkeypatch.setattr(conversation_module, "KEEP_ALIVE_SECONDS", 0.2)
    frames = conversation["frames"]
    protocol = Subprotocol(conversation["subprotocol"])
    with (
        ReplaySource(folder, start=0.25) as source,
        connect(source.websocket_url, subprotocols=[protocol], close_timeout=0) as client,
    ):
        assert frames[0] == {"dir": "open", "subprotocol": client.subprotocol}
        for frame in frames:
            if frame["dir"] == "sent":
                client.send(json.dumps(frame["frame"]))
            elif frame["dir"] == "received":
                _expect(client, source, frame["frame"])


def _expect(client: ClientConnection, source: ReplaySource, recorded: dict[str, Any]) -> None:
    kind = recorded["type"]
    given = _next(client, source, kind)
    # Our blocks hold more transactions than the recorded ones, and our keep-alives come more often.
    surplus = {"complete": ("next", "data", "ka"), "next": (), "data": ("ka",), "ka": ("data",)}
    while given["type"] != kind and given["type"] in surplus.get(kind, ()):
        given = _next(client, source, kind)
    assert (given["type"], given.get("id")) == (kind, recorded.get("id"))
    assert list(given) == list(recorded)
    if kind == "error":
        assert [_gist(error) for error in given["payload"]] == [_gist(error) for error in recorded["payload"]]
    elif "payload" in recorded:
        assert _shape(given["payload"]) == _shape(recorded["payload"])


def _next(client: ClientConnection, source: ReplaySource, wanted: str) -> dict[str, Any]:
    """The next frame; when rows are wanted, blocks appear one by one until one comes."""
    if wanted not in ("next", "data"):
        return dict(json.loads(client.recv(timeout=10)))
    for _attempt in range(500):
        try:
            return dict(json.loads(client.recv(timeout=0.01)))
        except TimeoutError:
            source.advance()
    raise AssertionError("no frame, although 500 blocks were asked to appear")


def _shape(value: Any) -> Any:
    """Field names in their order and kinds of values: the recorded heights are past the tip of the folder."""
    if isinstance(value, dict):
        return {name: _shape(part) for name, part in value.items()}
    return type(value).__name__
