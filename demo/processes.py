"""Child processes of the demo: started apart from the terminal's signals, stopped together, never left behind."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 5.0
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ChildEnded(Exception):
    """A process that should run ended by itself; the message has the end of its log."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back interrupts until the end of the block, which then raises KeyboardInterrupt if there was one."""
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        logging.disable()  # what fails from here on was interrupted by the same Ctrl-C

    before = {number: signal.signal(number, hold) for number in INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        logging.disable(logging.NOTSET)
        if held:
            raise KeyboardInterrupt


@dataclass
class Processes:
    """The running children by name; leaving the block stops them all, within `STOP_SECONDS`, whatever hangs."""

    logs: Path
    environment: dict[str, str]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    _commands: dict[str, list[str]] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._running.values()):
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            # The whole group: what hangs, and what a child that ended has left behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def start(self, name: str, *command: str) -> None:
        """Start `python COMMAND…` in the project's folder, with its output in a log of its own."""
        self._commands[name] = list(command)
        # Interrupted between its start and its being noted, it would be left behind.
        with (self.logs / f"{name}.log").open("ab") as log, uninterrupted():
            self._running[name] = subprocess.Popen(  # noqa: S603  # our own commands
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only the demo, which stops its children in order
            )

    def run(self, *command: str) -> None:
        """Run a command to its end. Raises `ChildEnded` when it fails."""
        name = "setup"
        self.start(name, *command)
        status = self._running[name].wait()
        del self._running[name]
        if status:
            raise ChildEnded(f"{' '.join(command)} ended with status {status}:\n{self._tail(name)}")

    def kill(self, name: str) -> None:
        """kill -9, and start it again as it was."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self.start(name, *self._commands[name])

    def check(self) -> None:
        """Raise `ChildEnded` when a child is no longer there."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ChildEnded(f"{name} ended with status {process.returncode}:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-15:])
