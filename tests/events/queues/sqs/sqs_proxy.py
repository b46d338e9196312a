"""A proxy in front of an SQS server that refuses keys, answers with errors, or never answers."""

import json
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import urllib3

_KEY = re.compile(r"Credential=([^/]+)/")
_HOP = {"connection", "content-length", "transfer-encoding", "keep-alive"}


@dataclass(frozen=True)
class Answer:
    """What the proxy answers by itself."""

    status: int
    body: bytes
    code: str = ""


def error(code: str, message: str = "refused", status: int = 400) -> Answer:
    """An error as SQS sends it."""
    body = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode()
    return Answer(status, body, code)


Interfere = Callable[[str, bytes], Answer | None]
"""``interfere(operation, body)``: the answer to give, or None to pass the request on."""


@dataclass
class SqsProxy:
    """A proxy at `url` for the server at `behind`; while a `with` block lasts.

    `refused_keys`: access keys and the error that each of their requests gets. `hangs`: while set, requests are read
    and never answered. `requests`: (access key, operation) of each, in order.
    """

    behind: str
    refused_keys: dict[str, Answer] = field(default_factory=dict)
    interfere: Interfere = lambda operation, body: None
    hangs: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def operations(self, key: str) -> list[str]:
        """What was called with this access key."""
        return [operation for used, operation in self.requests if used == key]

    def __enter__(self) -> Self:
        proxy, pool = self, urllib3.PoolManager(maxsize=16, retries=False, timeout=30)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                match = _KEY.search(self.headers.get("Authorization", ""))
                key = match[1] if match else ""
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                proxy.requests.append((key, operation))
                if proxy.hangs.is_set():
                    proxy._closing.wait()
                    self.close_connection = True
                    return
                answer = proxy.refused_keys.get(key) or proxy.interfere(operation, body)
                if answer is not None:
                    self._reply(answer.status, answer.body, {"x-amzn-ErrorType": answer.code})
                    return
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
                response = pool.request("POST", proxy.behind + self.path, body=body, headers=headers)
                self._reply(response.status, response.data, response.headers)

            def _reply(self, status: int, body: bytes, headers: Any) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if value and name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:  # the tests' output stays clean
                pass

            def handle(self) -> None:
                with suppress(OSError):  # the client has gone
                    super().handle()

        self._closing, self._pool = threading.Event(), pool
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._pool.clear()
