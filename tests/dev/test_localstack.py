"""LocalStack as the demo and the tests run it: it says what is missing, and nothing of it is left running."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dev import localstack
from tests.conftest import ROOT
from tests.polling import until

KILLED = """
import os, pathlib, signal, sys
from dev import localstack
with localstack.start(localstack.VENV, localstack.free_port(), pathlib.Path(sys.argv[1])) as process:
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def start(venv: Path, port: int, folder: Path) -> None:
    with localstack.start(venv, port, folder / "localstack.log"):
        pytest.fail("it came up")


def test_a_missing_installation_is_said_with_the_way_to_install(tmp_path: Path) -> None:
    with pytest.raises(localstack.LocalStackFailed, match="run `make localstack`"):
        start(tmp_path, localstack.free_port(), tmp_path)


def broken(folder: Path) -> Path:
    """An installation whose Python only says so and ends."""
    python = folder / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho broken; exit 3\n")
    python.chmod(0o755)
    return folder


def test_one_that_ends_at_once_is_said_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(localstack.LocalStackFailed, match=r"status 3: see .*localstack.log"):
        start(broken(tmp_path), localstack.free_port(), tmp_path)
    assert (tmp_path / "localstack.log").read_text() == "broken\n"


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(localstack.LocalStackFailed, match=f"cannot have port {port}"):
            start(broken(tmp_path), port, tmp_path)


@pytest.mark.sqs
@pytest.mark.skipif("AWS_ENDPOINT_URL_SQS" in os.environ, reason="another SQS is used, LocalStack need not be here")
def test_nothing_is_left_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "localstack.log")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    group = int(done.stdout)

    def gone() -> bool:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        return False

    until(gone, "the end of LocalStack")
