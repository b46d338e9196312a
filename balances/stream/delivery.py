"""What is sent to one listener: what it has missed, page by page, and then what is new."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from django.db import Error

from balances.stream import pages, sse
from balances.stream.db_threads import Connections
from balances.stream.hub import Hub
from balances.stream.subscriber import Listener
from postgres.errors import Reaction, reaction

BEAT_SECONDS = 15.0
"""No connection is silent for longer."""
RETRY_SECONDS = 1.0

Send = Callable[[bytes], Awaitable[None]]
"""Returns when the connection takes more."""


class Listening:
    """The sending to one listener. `shared`: connections for reading what is old."""

    def __init__(self, listener: Listener, hub: Hub, shared: Connections, send: Send) -> None:
        self._listener = listener
        self._hub = hub
        self._shared = shared
        self._to_client = send
        self._sent_at = 0.0

    async def run(self) -> NoReturn:
        """Send everything after the listener's position, until the task is cancelled."""
        await self._send(sse.RETRY + self._progress())
        while True:
            while not self._hub.joins(self._listener):
                await self._catch_up()
            while self._listener.live:
                await self._listener.woken.wait()
                if frame := self._listener.take():
                    await self._send(frame)

    async def _catch_up(self) -> None:
        """Read and send one page, or wait when there is nothing on it."""
        listener = self._listener
        try:
            page = await self._shared.run(pages.read_wanted, listener.position, listener.wanted)
        except Error as error:
            if reaction(error) is Reaction.GIVE_UP:
                raise
            await self._wait(asyncio.sleep(RETRY_SECONDS))
            return
        frame = b""
        # While the index is back behind the listener, for heights that are read again, what was corrected is not in.
        if (
            page.indexed_height.generation != listener.generation
            and page.indexed_height.height >= listener.position.height
        ):
            listener.generation = page.indexed_height.generation
            frame = sse.corrected(page.indexed_height, listener.position)
        frame += b"".join(
            sse.transfer(each, listener.generation, text_amounts=listener.text_amounts) for each in page.transfers
        )
        if frame:
            await self._send(frame)
        elif page.end == listener.position:
            await self._wait(self._hub.looked.wait())
        listener.position = page.end
        await self._beat()

    async def _wait(self, something: Awaitable[object]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await something
        await self._beat()

    async def _beat(self) -> None:
        if asyncio.get_running_loop().time() - self._sent_at >= BEAT_SECONDS:
            await self._send(self._progress())

    def _progress(self) -> bytes:
        return sse.indexed_height(self._hub.indexed_height, self._listener.position, self._listener.generation)

    async def _send(self, frame: bytes) -> None:
        await self._to_client(frame)
        self._sent_at = asyncio.get_running_loop().time()
