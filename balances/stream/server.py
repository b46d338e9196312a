"""The process that serves the stream: one event loop for all listeners, and a thread for each database connection."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator
from typing import NoReturn

import uvicorn

from balances.stream.app import Stream
from balances.stream.db_threads import Connections
from balances.stream.delivery import BEAT_SECONDS
from balances.stream.follower import follow
from balances.stream.hub import Hub

SEND_BUFFER_BYTES = 128 * 1024
DEAD_MILLISECONDS = 60_000
"""After so long a client that is gone without a word, or takes nothing, is given up."""

_BACKLOG = 1024
_SPARE_FILES = 64


class AddressTaken(Exception):
    """The address cannot be listened at; the message says why."""


def open_socket(host: str, port: int) -> socket.socket:
    """Listen at this address, port 0 meaning any that is free. Raises `AddressTaken`.

    What is set here is set for every connection: the kernel keeps little of what a client does not take, and gives a
    dead client up.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        opened = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise AddressTaken(f"{host}:{port}: {error.strerror}") from None
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)
    return opened


async def serve(stream: Stream, opened: socket.socket, stop: asyncio.Event) -> None:
    """Serve at the socket `opened` until `stop` is set; then every stream is ended in order."""
    _allow_files(stream.most)
    own = Connections("stream-new", 1)
    server = _Server(
        uvicorn.Config(
            stream,
            http="h11",
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=5,
        )
    )
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(follow(stream.hub, own)), group.create_task(_beat(stream.hub))]
            serving = group.create_task(server.serve(sockets=[opened]))
            told = group.create_task(stop.wait())
            await asyncio.wait({told, serving}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                raise RuntimeError("the server came to an end before it was told to")
            stream.stop()
            server.should_exit = True
            await serving
            for task in beside:
                task.cancel()
    finally:
        await own.close()
        await stream.shared.close()


async def _beat(hub: Hub) -> NoReturn:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        hub.beat()


def _allow_files(listeners: int) -> None:
    """Raise this process's limit of open files, each connection being one, as far as it may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = listeners + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the command has its own
