"""`manage.py runstream` as a real process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dev.localstack import free_port
from tests.balances.stream.stream_server import Client
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import ROOT, database_url, recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]


@contextmanager
def process(port: int, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    variables = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url(),
        "STREAM_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "error",
    }
    started = subprocess.Popen(
        [sys.executable, "manage.py", "runstream"],
        cwd=ROOT,
        env=variables | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def test_it_streams_what_is_applied_and_a_signal_ends_it_in_order() -> None:
    fill_database("gnotest-1", last=12)
    port = free_port()
    with process(port) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == f"The stream is at 127.0.0.1:{port}.\n"
        client = Client(port, "/events/stream")
        assert client.take("progress").id == "12@0"
        store_heights(recorded("gnotest-1"), 13, 20)
        apply_pending()
        assert client.take("transfer").data["blockHeight"] > 12
        running.terminate()
        assert {event.name for event in client.events} == {"transfer"}, "the stream ends where an event ends"
        client.close()
        _, said = running.communicate(timeout=20)
        assert (running.returncode, said) == (0, "")


def test_a_port_that_is_taken_is_told_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, process(other.getsockname()[1]) as running:
        _, said = running.communicate(timeout=20)
    assert running.returncode == 1
    assert said.startswith("CommandError: STREAM_HOST and STREAM_PORT")
    assert "Traceback" not in said
