"""The HTTP side: status codes, content types and faults around GraphQL operations."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from replay import operations
from replay.conversation import converse
from replay.site import ServedQuery, Site
from replay.wire import encode

PATH = "/graphql/query"
BODY_LIMIT = 1 << 20
"""Bytes of a request's body; one more and the answer is an error with status 200."""

_log = logging.getLogger(__name__)
_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_UNSUPPORTED = operations.failure("transport not supported")


class _Question(NamedTuple):
    query: str
    name: str | None
    variables: dict[str, Any]


class CutResponse(Response):
    """Sends half of its body and leaves, so that the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Promise the whole body, send half of it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body[: len(self.body) // 2])
        await send({"type": "http.response.body", "body": half, "more_body": True})


def build_app(site: Site) -> Starlette:
    """The ASGI application of a source: ``/graphql/query`` over HTTP and websocket, ``/health`` and ``/ready``."""

    async def graphql(request: Request) -> Response:
        return await _graphql(site, request)

    async def socket(websocket: WebSocket) -> None:
        await converse(site, websocket)

    return Starlette(
        routes=[
            Route(PATH, graphql, methods=_METHODS),
            WebSocketRoute(PATH, socket),
            Route("/health", _status(site, "Server is responding", "storage is not reachable")),
            Route("/ready", _status(site, "node is ready", "node not ready")),
        ],
        exception_handlers={Exception: _report},
    )


async def _report(_request: Request, error: Exception) -> Response:
    # uvicorn's own log is off, because cut bodies would fill it.
    _log.error("the replay source failed", exc_info=error)
    return Response(encode(operations.failure("internal system error")), 500, media_type="application/json")


async def _graphql(site: Site, request: Request) -> Response:
    question = await _question(request)
    if isinstance(question, Response):
        return question
    faults = site.faults
    if faults.happens(faults.late):
        await asyncio.sleep(faults.late_seconds)
    if faults.happens(faults.too_many_requests):
        headers = {"Retry-After": str(faults.retry_after)}
        response = Response('{"error": "too many requests"}\n', 429, headers, "text/plain")
    elif faults.happens(faults.server_error):
        response = Response("<html><body><h1>500 Internal Server Error</h1></body></html>\n", 500, None, "text/html")
    else:
        response = _answer(site, question, is_get=request.method == "GET")
        if faults.happens(faults.cut_body):
            response = CutResponse(response.body, response.status_code, media_type="application/json")
    # Before the answer goes out: a test that has it may look at once.
    site.requests.append(ServedQuery(question.query, question.variables, response.status_code))
    return response


async def _question(request: Request) -> _Question | Response:
    if request.method == "OPTIONS":
        return Response(headers={"Allow": "OPTIONS, GET, POST"})
    if request.method == "HEAD":
        return Response(status_code=405)
    if request.method == "GET":
        asked: dict[str, Any] = dict(request.query_params)
        try:
            asked["variables"] = json.loads(asked.get("variables") or "null")
        except ValueError:
            return _json(operations.failure("variables could not be decoded"), 400)
        return _read(asked)
    body = bytearray()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= BODY_LIMIT:
            body += chunk
    content_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if content_type != "application/json" and (body or request.method == "POST"):
        return Response(status_code=415)
    if request.method != "POST":
        return Response(encode(_UNSUPPORTED), 400, media_type="text/plain")
    if size > BODY_LIMIT:
        return _json(operations.failure("could not read request body: http: request body too large"), 200)
    try:
        return _read(json.loads(bytes(body)))
    except ValueError as error:
        return _json(operations.failure(f"json request body could not be decoded: {error}"), 400)


def _read(asked: Any) -> _Question | Response:
    asked = {} if asked is None else asked
    if isinstance(asked, dict):
        question = _Question(asked.get("query") or "", asked.get("operationName") or None, asked.get("variables") or {})
        if isinstance(question.query, str) and isinstance(question.variables, dict):
            return question
    return _json(operations.failure("json request body could not be decoded: wanted query and variables"), 400)


def _answer(site: Site, question: _Question, *, is_get: bool) -> Response:
    try:
        operation = site.prepare(*question)
    except operations.Refused as refused:
        return _json(operations.failure(*refused.errors), 422)
    if operation.is_subscription:
        return _json(operations.failure("subscriptions are served over a websocket"), 406 if is_get else 400)
    if site.faults.introspection_disabled and operation.is_introspection:
        return _json(operations.failure("introspection disabled"), 200)
    return _json(operations.execute(operation, site.ask()), 200)


def _json(answer: operations.Answer, status: int) -> Response:
    return Response(encode(answer), status, media_type="application/json")


def _status(site: Site, good: str, bad: str) -> Callable[[Request], Response]:
    """``/health`` and ``/ready``: 200 whatever the state, which only the message tells."""

    def endpoint(_request: Request) -> Response:
        tip = site.address.chain.tip
        info: dict[str, Any] = {} if tip is None else {"height": tip}
        info["time"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        message = good if tip is not None else f"{bad}: item not found in storage"
        return _json({"info": info, "message": message}, 200)

    return endpoint
