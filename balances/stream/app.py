"""The stream over HTTP, as an ASGI application: `/events/stream`, and `/health`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import QueryDict
from django.utils.datastructures import CaseInsensitiveMapping

from balances.api.middleware.cors import METHODS, cors_headers, is_preflight
from balances.api.middleware.path_prefix import apply_prefix
from balances.api.responses.problems import PROBLEM_JSON, problem
from balances.api.throttling import TooManyRequests, count_request
from balances.queries.errors import RETRY_SECONDS, BadParameter, shown
from balances.stream import pages
from balances.stream.db_threads import Connections
from balances.stream.delivery import Listening
from balances.stream.event_ids import end_of
from balances.stream.hub import Hub
from balances.stream.subscriber import Listener
from balances.stream.subscription import LAST_EVENT_ID, ListRequest, read_asked

PATH = "/events/stream"
EVENT_STREAM = "text/event-stream"

OLD_CONNECTIONS = 2

_END_SECONDS = 1.0
# A proxy must not store or change events, nor collect them (X-Accel-Buffering is nginx's word for that).
_AS_IT_COMES = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = dict[str, str]


class Stream:
    """Serves up to `most` listeners at a time. `origins`: those whose web pages may read it; `*`: all.

    `shared`: database connections for listeners that have something to catch up with, however many they are.
    `opened`: how many streams began.
    """

    def __init__(self, hub: Hub, *, most: int, origins: frozenset[str]) -> None:
        self.hub = hub
        self.shared = Connections("stream-old", OLD_CONNECTIONS)
        self.most = most
        self.opened = 0
        self._origins = origins
        self._listening = set["asyncio.Task[Any]"]()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._listening)

    def stop(self) -> None:
        """End every stream; each client has the id with which it may come back."""
        self._stopping = True
        for task in self._listening:
            task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        meta, method, given = _meta(scope), scope["method"], _headers(scope)
        prefix, path = apply_prefix(meta), meta["PATH_INFO"].rstrip("/")
        preflight = is_preflight(method, given)
        headers = cors_headers(self._origins, given, preflight=preflight)
        if path == "/health":
            await _answer(send, HTTPStatus.OK, headers, {"status": "ok"})
        elif path != PATH:
            detail = f"There is nothing at {shown(scope['path'])}; the stream is at {prefix}{PATH}."
            await _refuse(send, HTTPStatus.NOT_FOUND, headers, detail)
        elif method == "OPTIONS":
            await _answer(send, HTTPStatus.NO_CONTENT, headers | {"Allow": METHODS}, None)
        elif method not in ("GET", "HEAD"):
            detail = f'Method "{method}" not allowed.'
            await _refuse(send, HTTPStatus.METHOD_NOT_ALLOWED, headers | {"Allow": METHODS}, detail)
        else:
            await self._open(scope, meta, receive, send, headers)

    async def _open(self, scope: Scope, meta: Headers, receive: Receive, send: Send, headers: Headers) -> None:
        try:
            count_request(meta)
            asked = read_asked(QueryDict(scope["query_string"]), _headers(scope).get(LAST_EVENT_ID))
            if asked.wanted.tokens:
                with suppress(Error):  # then no client is refused
                    await self.shared.run(pages.check_tokens, asked.wanted.tokens)
        except TooManyRequests as refused:
            later = headers | {"Retry-After": str(refused.wait)}
            await _refuse(send, HTTPStatus.TOO_MANY_REQUESTS, later, str(refused.detail))
            return
        except BadParameter as refused:
            await _refuse(send, HTTPStatus.BAD_REQUEST, headers, str(refused.detail), **refused.members)
            return
        except SuspiciousOperation as refused:
            await _refuse(send, HTTPStatus.BAD_REQUEST, headers, str(refused))
            return
        if scope["method"] == "HEAD":
            await _start(send, HTTPStatus.OK, headers | _AS_IT_COMES)
            await send({"type": "http.response.body"})
            return
        again = headers | {"Retry-After": str(RETRY_SECONDS)}
        if len(self) >= self.most or self._stopping:
            detail = f"{self.most} clients listen already, which is the most that this server takes. Try again later."
            await _refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, again, detail)
        else:
            await self._stream(self._listener(asked), receive, send, headers)

    def _listener(self, asked: ListRequest) -> Listener:
        position, generation = asked.start, asked.generation
        if position is None:
            position = end_of(self.hub.indexed_height.height)
        if generation is None:
            generation = self.hub.indexed_height.generation
        return Listener(asked.wanted, position, generation, text_amounts=asked.text_amounts)

    async def _stream(self, listener: Listener, receive: Receive, send: Send, headers: Headers) -> None:
        async def to_client(frame: bytes) -> None:
            await send({"type": "http.response.body", "body": frame, "more_body": True})

        task = asyncio.current_task()
        assert task is not None
        gone = asyncio.create_task(_end_when_gone(task, receive))
        self._listening.add(task)
        self.opened += 1
        try:
            await _start(send, HTTPStatus.OK, headers | _AS_IT_COMES)
            await Listening(listener, self.hub, self.shared, to_client).run()
        except asyncio.CancelledError:
            if not gone.done() and not self._stopping:
                raise
        finally:
            self.hub.leave(listener)
            self._listening.discard(task)
            gone.cancel()
        with suppress(TimeoutError):  # a client that does not read is not waited for
            async with asyncio.timeout(_END_SECONDS):
                await send({"type": "http.response.body"})


async def _end_when_gone(task: "asyncio.Task[Any]", receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()


def _meta(scope: Scope) -> Headers:
    """The request, in the names of WSGI's environment."""
    given = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in _headers(scope).items()}
    return given | {"REMOTE_ADDR": (scope.get("client") or ("",))[0], "PATH_INFO": scope["path"]}


def _headers(scope: Scope) -> Mapping[str, str]:
    """The headers of a request; of one that is given several times the values joined by commas, as WSGI servers do.

    A name with an underscore is left out: in WSGI's names it would pass for the one with a hyphen.
    """
    joined: Headers = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        if "_" not in key:
            joined[key] = f"{joined[key]},{text}" if key in joined else text
    return CaseInsensitiveMapping(joined)


async def _refuse(send: Send, status: HTTPStatus, headers: Headers, detail: str, **members: object) -> None:
    await _answer(send, status, headers | {"Content-Type": PROBLEM_JSON}, problem(status, detail, **members))


async def _answer(send: Send, status: HTTPStatus, headers: Headers, body: dict[str, Any] | None) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    await _start(send, status, {"Content-Type": "application/json", **headers, "Content-Length": str(len(content))})
    await send({"type": "http.response.body", "body": content})


async def _start(send: Send, status: HTTPStatus, headers: Headers) -> None:
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status.value, "headers": encoded})
