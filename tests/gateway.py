"""What may stand between the indexer and its source: a forward proxy that records, or a server with a password."""

import base64
import http.client
import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Gateway(ThreadingHTTPServer):
    """A forward proxy; with `upstream` (a URL), a server in front of that one. `requests` are "METHOD target" in order.

    With `credentials` ("user:password") others are refused by 407, or 401, or by `refusal` (status, body); with `tls`
    it is reached by TLS.
    """

    daemon_threads = True

    def __init__(self, upstream: str = "", credentials: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.refusal: tuple[int, bytes] | None = None
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream)
        self.expected = "Basic " + base64.b64encode(credentials.encode()).decode() if credentials else ""
        self.requests: list[str] = []
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="gateway")

    @property
    def address(self) -> str:
        """host:port"""
        return f"127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        """Its own URL, with the path of the upstream if there is one."""
        return f"{self.scheme}://{self.address}{self.upstream.path}"

    def methods(self) -> set[str]:
        return {request.split()[0] for request in self.requests}

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gateway

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self._admitted():
            return
        target = self.server.upstream if self.path.startswith("/") else urlsplit(self.path)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=10)
        kept = {name: value for name, value in self.headers.items() if not name.lower().startswith(("proxy-", "host"))}
        connection.request("POST", target.path, body, kept)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self._answer(answer.status, content, dict(answer.headers))

    def do_CONNECT(self) -> None:
        if self._admitted():
            self._join(urlsplit(f"//{self.path}").hostname or "", int(self.path.rpartition(":")[2]), b"")

    def do_GET(self) -> None:
        """A websocket in front of `upstream`: its opening is passed on as it came."""
        if self._admitted():
            head = f"GET {self.server.upstream.path} HTTP/1.1\r\n{self.headers}".replace("\r\n", "\n")
            upstream = self.server.upstream
            self._join(upstream.hostname or "", upstream.port or 80, head.replace("\n", "\r\n").encode())

    def log_message(self, *arguments: object) -> None:
        """The test looks at `requests`."""

    def _admitted(self) -> bool:
        self.server.requests.append(f"{self.command} {self.path}")
        name, status = ("Authorization", 401) if self.server.upstream.netloc else ("Proxy-Authorization", 407)
        if not self.server.expected or self.headers.get(name) == self.server.expected:
            return True
        self._answer(*(self.server.refusal or (status, b"")), {})
        return False

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name in ("Content-Type", "Content-Encoding"):
            if name in headers:
                self.send_header(name, headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _join(self, host: str, port: int, first: bytes) -> None:
        """Pass bytes on both ways until one side ends."""
        self.close_connection = True
        with socket.create_connection((host, port), timeout=10) as other:
            other.settimeout(None)
            if first:
                other.sendall(first)
            else:
                self.send_response(200)
                self.end_headers()
            back = threading.Thread(target=_copy, args=(other, self.connection), daemon=True)
            back.start()
            _copy(self.connection, other)
            back.join(5)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
