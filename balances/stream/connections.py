"""The database connections of the stream, a fixed number whatever listens, each in a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import close_old_connections, connection

Result = TypeVar("Result")


class Connections:
    """`number` connections, lent in the order of asking: who asks again and again takes turns with the others."""

    def __init__(self, name: str, number: int) -> None:
        self._all = [ThreadPoolExecutor(1, f"{name}-{each}") for each in range(number)]
        self._free: asyncio.Queue[ThreadPoolExecutor] = asyncio.Queue()
        for thread in self._all:
            self._free.put_nowait(thread)

    async def run(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do `work` in one of the threads. Raises what it raises, Django's `OperationalError` among it."""
        thread = await self._free.get()
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, _do, work, *arguments)
        finally:
            self._free.put_nowait(thread)

    async def close(self) -> None:
        """Close the connections and end the threads, when what is under way is done."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(thread, _close) for thread in self._all))
        for thread in self._all:
            thread.shutdown(wait=False)


def _close() -> None:
    connection.close()  # the thread's own


def _do(work: Callable[..., Result], *arguments: Any) -> Result:
    close_old_connections()  # one that broke is made again
    return work(*arguments)
