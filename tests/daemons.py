"""The project's processes that run until told to stop, as real processes of a test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.localstack import free_port
from tests.conftest import ROOT, database_url
from tests.polling import until

_MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "indexer_project.settings"
import django
django.setup()
{sabotage}
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", *sys.argv[1:]])
"""


class Daemon:
    """`manage.py COMMAND` with its log. `sabotage`: Python that it does first, to make something in it go wrong."""

    def __init__(self, log: Path, *command: str, sabotage: str = "", **environment: str) -> None:
        self._log = log
        variables = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": database_url(),
            "SYNC_POLL_SECONDS": "0.05",
            "SYNC_WINDOW_BLOCKS": "10",
            "STREAM_PORT": str(free_port()),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": "error",
        } | environment
        self.stream_port = int(variables["STREAM_PORT"])
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _MANAGE.format(sabotage=sabotage), *command],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        return self._log.read_text()

    def says(self, text: str) -> None:
        """Wait until it has logged this."""
        until(lambda: text in self.text or self.process.poll() is not None, f"{text!r} in its log")
        assert text in self.text, self.text[-3000:]

    def lines(self, text: str) -> list[str]:
        return [line for line in self.text.splitlines() if text in line]

    def runs(self) -> None:
        assert self.process.poll() is None, self.text[-3000:]

    def ends(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s: {self.text[-3000:]}") from None

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ends()


@contextmanager
def daemons(folder: Path, *commands: str, sabotage: str = "", **environment: str) -> Iterator[list[Daemon]]:
    """One process of each command; killed at the end if they still run."""
    started: list[Daemon] = []
    try:
        for command in commands:
            started.append(Daemon(folder / f"{command}.log", command, sabotage=sabotage, **environment))
        yield started
    finally:
        for each in started:
            each.process.kill()
            each.process.wait()
