"""The websocket side: ``graphql-transport-ws`` and the older ``graphql-ws``, in the frames of a tx-indexer."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from graphql import ExecutionResult
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from replay import operations
from replay.site import Site
from replay.wire import encode_frame

KEEP_ALIVE_SECONDS = 10.0
"""Between two ``ka`` frames of the older protocol. The newer one has none: its server never speaks unasked."""

_log = logging.getLogger(__name__)
_PROTOCOL_ERROR = 1002
_NORMAL = 1000


class Dialect(NamedTuple):
    """The words in which the two protocols differ."""

    start: str
    stop: str
    data: str
    keeps_alive: bool


DIALECTS = {
    "graphql-transport-ws": Dialect("subscribe", "complete", "next", keeps_alive=False),
    "graphql-ws": Dialect("start", "stop", "data", keeps_alive=True),
}


class _Hangup(Exception):  # a way to say goodbye, not a failure of ours
    """Close the websocket with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


async def converse(site: Site, websocket: WebSocket) -> None:
    """Serve one websocket until either side closes it."""
    origin = websocket.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != websocket.headers.get("host")
    if site.faults.refuse_websocket or foreign:
        # Before it was accepted: the upgrade is answered 403.
        await websocket.close()
        return
    offered: list[str] = websocket.scope["subprotocols"]
    chosen = next((name for name in offered if name in DIALECTS), None)
    await websocket.accept(chosen)
    if offered and chosen is None:
        await websocket.close(_PROTOCOL_ERROR, "unsupported subprotocol")
        return
    conversation = _Conversation(site, websocket, DIALECTS[chosen or "graphql-ws"])
    try:
        await conversation.run()
    except _Hangup as hangup:
        await websocket.close(hangup.code, hangup.reason)
    except WebSocketDisconnect:
        pass
    except Exception:
        _log.exception("the replay source failed at a websocket")
        raise
    finally:
        await conversation.end()


class _Conversation:
    def __init__(self, site: Site, websocket: WebSocket, dialect: Dialect) -> None:
        self._site = site
        self._websocket = websocket
        self._dialect = dialect
        self._streams: dict[str, asyncio.Task[None]] = {}
        self._keep_alive: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Greet, then answer frame after frame. Raises WebSocketDisconnect or _Hangup at the end."""
        try:
            greeting = await self._receive()
        except ValueError as error:
            raise _Hangup(_PROTOCOL_ERROR, "decoding error") from error
        if greeting["type"] != "connection_init":
            raise _Hangup(_PROTOCOL_ERROR, "unexpected message")
        await self._send({"type": "connection_ack"})
        if self._dialect.keeps_alive and not self._site.faults.silent_websocket:
            await self._send({"type": "ka"})
            self._keep_alive = asyncio.create_task(self._stay_alive())
        while True:
            try:
                frame = await self._receive()
            except ValueError as error:
                raise _Hangup(_NORMAL, "terminated") from error
            if not self._site.faults.silent_websocket:
                await self._react(frame)

    async def end(self) -> None:
        """Stop whatever still goes on."""
        tasks = [*self._streams.values(), *([self._keep_alive] if self._keep_alive else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _react(self, frame: dict[str, Any]) -> None:
        kind, name = frame["type"], str(frame.get("id", ""))
        if kind == self._dialect.start:
            await self._start(name, frame.get("payload"))
        elif kind == self._dialect.stop:
            stream = self._streams.pop(name, None)
            if stream is not None:
                stream.cancel()
                await self._send({"id": name, "type": "complete"})
        elif kind == "ping" and not self._dialect.keeps_alive:
            await self._send({"type": "pong"})
        elif kind == "connection_terminate" or kind not in ("pong", "connection_init"):
            raise _Hangup(_NORMAL, "terminated")

    async def _start(self, name: str, payload: Any) -> None:
        payload = payload if isinstance(payload, dict) else {}
        query, variables = payload.get("query") or "", payload.get("variables") or {}
        if not isinstance(query, str) or not isinstance(variables, dict):
            raise _Hangup(_NORMAL, "terminated")
        asked = self._site.ask()
        try:
            operation = self._site.prepare(query, payload.get("operationName"), variables)
        except operations.Refused as refused:
            await self._send({"payload": refused.errors, "id": name, "type": "error"})
            await self._send({"id": name, "type": "complete"})
            return
        if not operation.is_subscription:
            await self._answer(name, operations.execute(operation, asked))
            await self._send({"id": name, "type": "complete"})
            return
        # Listening starts here and not in the task: the next frame may be a ping by which a client knows that it does.
        started = operations.listen(operation, asked)
        if isinstance(started, ExecutionResult):
            await self._answer(name, operations.answer(started))
            await self._send({"id": name, "type": "complete"})
            return
        self._streams[name] = asyncio.create_task(self._deliver(name, started))

    async def _deliver(self, name: str, results: AsyncGenerator[ExecutionResult, None]) -> None:
        async with aclosing(results):
            async for result in results:
                await self._answer(name, operations.answer(result))

    async def _answer(self, name: str, answer: operations.Answer) -> None:
        if not self._site.faults.silent_websocket:
            await self._send({"payload": answer, "id": name, "type": self._dialect.data})

    async def _stay_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await self._send({"type": "ka"})

    async def _receive(self) -> dict[str, Any]:
        """The next frame. Raises ValueError when it is not an object with a type."""
        try:
            frame = json.loads(await self._websocket.receive_text())
        except KeyError as error:
            raise ValueError("not a frame of text") from error
        if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
            raise ValueError("not a frame of GraphQL over websocket")
        return frame

    async def _send(self, frame: dict[str, Any]) -> None:
        if self._websocket.application_state is WebSocketState.CONNECTED:
            await self._websocket.send_text(encode_frame(frame))
