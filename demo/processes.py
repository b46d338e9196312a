"""Child processes of the demo: started apart from the terminal's signals, stopped in order, never left behind."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
STOP_SECONDS = 15


class ChildEnded(Exception):
    """A process that should run ended by itself; the message has the end of its log."""


@dataclass
class Processes:
    """The running children by name; leaving the block stops them, the last started first."""

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
        for name in reversed(list(self._running)):
            self.stop(name)

    def start(self, name: str, *command: str) -> None:
        """Start `python COMMAND…` in the project's folder, with its output in a log of its own."""
        self._commands[name] = list(command)
        with (self.logs / f"{name}.log").open("ab") as log:
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
        status = self._running.pop(name).wait()
        if status:
            raise ChildEnded(f"{' '.join(command)} ended with status {status}:\n{self._tail(name)}")

    def kill(self, name: str) -> None:
        """kill -9, and start it again as it was."""
        process = self._running.pop(name)
        process.kill()
        process.wait()
        self.start(name, *self._commands[name])

    def stop(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def check(self) -> None:
        """Raise `ChildEnded` when a child is no longer there."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ChildEnded(f"{name} ended with status {process.returncode}:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return "\n".join((self.logs / f"{name}.log").read_text(errors="replace").splitlines()[-15:])
