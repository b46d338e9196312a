"""The database connections of the stream, a fixed number whatever listens, each in a thread of its own."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error, close_old_connections

from blocks.thread_pool import Pool
from postgres.connections import renew

Result = TypeVar("Result")

CLOSE_SECONDS = 2.0
"""What a connection is in the middle of is waited for at the end, so long at most."""


class Connections:
    """`number` connections, lent in the order of asking: who asks again and again takes turns with the others."""

    def __init__(self, name: str, number: int) -> None:
        self._all = [Pool(1, f"{name}-{each}") for each in range(number)]
        self._free: asyncio.Queue[Pool] = asyncio.Queue()
        for thread in self._all:
            self._free.put_nowait(thread)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do `work` in one of the threads. Raises what it raises, Django's `Error` among it.

        A session in which the database refused is not used again: see `postgres.connections.renew`.
        """
        thread = await self._free.get()
        try:
            return await asyncio.wrap_future(thread.submit(_do, work, *arguments))
        finally:
            self._free.put_nowait(thread)

    async def close(self) -> None:
        """Close the connections and end the threads, when what is under way is done, or hangs."""
        closing = [asyncio.wrap_future(thread.submit(renew)) for thread in self._all]
        await asyncio.wait(closing, timeout=CLOSE_SECONDS)
        for thread in self._all:
            thread.close()


def _do(work: Callable[..., Result], *arguments: Any) -> Result:
    close_old_connections()  # one that broke is made again
    try:
        return work(*arguments)
    except Error:
        renew()
        raise
