"""One demo at a time: a lock on its data folder, and the port of its API."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.localstack import port_problem


class InUse(Exception):
    """Something that the demo needs is in use; the message says by what, and the way out."""


@contextmanager
def alone(data: Path, port: int) -> Iterator[None]:
    """Keep another demo out of `data` while the block lasts. Raises `InUse`."""
    path = data.with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InUse(f"another one runs in this folder (process {lock.read().strip()}): stop it first.") from None
        if problem := port_problem(port):
            raise InUse(f"port {port} of 127.0.0.1: {problem}. Choose another one: make demo PORT=8001.")
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield
