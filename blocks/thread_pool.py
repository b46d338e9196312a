"""Threads for questions to endpoints: daemons, so that a source that hangs never keeps a process from ending."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Pool:
    """A fixed number of daemon threads. (`ThreadPoolExecutor` waits for its threads when the interpreter ends.)"""

    def __init__(self, threads: int, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = threads
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        future: Future[Result] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # told to whoever asks for the result
                future.set_exception(error)

        self._work.put(work)
        return future

    def close(self) -> None:
        """End the threads when they have nothing left to do; returns at once."""
        for _ in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
