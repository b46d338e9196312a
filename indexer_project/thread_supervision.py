"""Threads of a process that is whole or not at all: one that ends unexpectedly ends its process, with exit status 1.

A supervisor (systemd, Docker, Kubernetes) starts a process again that has ended; half of one it takes for well.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

from indexer_project.shutdown import GRACE_SECONDS

logger = logging.getLogger(__name__)


def end_with_any_thread() -> None:
    """From here on an exception that escapes from any thread but the main one is logged and ends the process."""
    threading.excepthook = _end_process


@contextmanager
def beside(
    run: Callable[[], object],
    name: str,
    *,
    stop: threading.Event,
    finish: Callable[[], object] | None = None,
    patience: float = GRACE_SECONDS,
) -> Iterator[None]:
    """Run `run` in a thread beside the block until `stop` is set; the process ends should it return before.

    After an ordinary end of the block it is told to `finish`, or to stop. Once `stop` is set, or the block has failed,
    it is waited for `patience` seconds at most: the server that it speaks to may hang.
    """
    ending = threading.Event()

    def run_to_the_end() -> None:
        run()
        if not ending.is_set() and not stop.is_set():
            raise RuntimeError(f"the thread {name} came to an end before it was told to")

    thread = threading.Thread(target=run_to_the_end, name=name, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        thread.join(patience)
        raise
    ending.set()
    (finish or stop.set)()
    while thread.is_alive() and not stop.is_set():
        thread.join(0.2)
    thread.join(patience)
    if thread.is_alive():
        # Nothing is lost by it: nothing counts before it is committed, and what is published twice counts once.
        logger.warning("Thread left behind, what it speaks to does not answer thread=%s", name)


def _end_process(failed: threading.ExceptHookArgs) -> None:
    try:
        name = failed.thread.name if failed.thread else "unknown"
        what: tuple[type[BaseException], BaseException, TracebackType | None] | bool = True
        if failed.exc_value is not None:
            what = (failed.exc_type, failed.exc_value, failed.exc_traceback)
        logger.critical("Thread ended unexpectedly, and the process with it thread=%s", name, exc_info=what)
        sys.stdout.flush()
    finally:
        os._exit(1)
