"""A source that tests may bend at will: an HTTP server that passes questions on and lets a function change answers."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import urllib3


@dataclass
class Reply:
    """One answer; `drip` seconds pass between any two bytes of its body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def reply(answer: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(answer).encode())


def data(**fields: Any) -> Reply:
    """An ordinary answer."""
    return reply({"data": fields})


Meddle = Callable[[str, Callable[[], Reply]], Reply]
"""``meddle(question, ask)``: the answer to give; ``ask()`` gives what the source behind says."""


class Meddler:
    """A server at `url` in front of the source at `behind`; without a `meddle` it changes nothing."""

    def __init__(self, meddle: Meddle | None = None, behind: str = "") -> None:
        self.behind = behind
        self.meddle: Meddle = meddle or (lambda question, ask: ask())
        self.questions: list[tuple[float, str]] = []
        """When (`time.monotonic`) and what was asked."""
        self._pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=30)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/graphql/query"

    def asked(self, part: str) -> list[float]:
        """When a question with `part` in it was asked."""
        return [when for when, question in self.questions if part in question]

    def __enter__(self) -> Self:
        meddler = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                question = json.loads(body)["query"]
                meddler.questions.append((time.monotonic(), question))
                said = meddler.meddle(question, lambda: meddler._ask(body))
                try:
                    self.send_response(said.status)
                    self.send_header("Content-Length", str(len(said.body)))
                    for name, value in said.headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    if said.drip:
                        for byte in said.body:
                            self.wfile.write(bytes([byte]))
                            self.wfile.flush()
                            if meddler._closing.wait(said.drip):
                                return
                    else:
                        self.wfile.write(said.body)
                except OSError:
                    self.close_connection = True  # the client has gone

            def do_GET(self) -> None:  # no websocket here
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # the tests' output stays clean
                pass

        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._pool.clear()

    def _ask(self, body: bytes) -> Reply:
        response = self._pool.request("POST", self.behind, body=body, headers={"Content-Type": "application/json"})
        return Reply(response.status, response.data)
