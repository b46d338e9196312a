"""The end of a process: in time whatever hangs, whole or not at all, and never in the middle of a lock."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import covered
from tests.chains import fill_database
from tests.conftest import ROOT, recorded
from tests.daemons import daemons
from tests.polling import until

FORCED = "Ended by force"
SOON = "from indexer_project import shutdown; shutdown._FORCE_AFTER_SECONDS = 1.0;"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


# The signals


def test_a_signal_that_comes_while_the_event_is_locked_is_not_lost_and_blocks_nothing() -> None:
    result = run(
        "import os, signal, time\n"
        "from indexer_project.shutdown import stop_on_signals\n"
        "with stop_on_signals() as stop:\n"
        "    with stop._cond:\n"  # as the main thread holds it within `wait` and `clear`
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(0.2)\n"
        "        assert not stop.is_set()\n"
        "    assert stop.wait(10)\n"
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_signal_is_seen_though_the_main_thread_runs_no_instruction() -> None:
    """It is in the middle of something written in C that waits and never looks for signals."""
    result = run(
        "import ctypes, os, signal, threading\n"
        "from indexer_project.shutdown import stop_on_signals\n"
        "with stop_on_signals() as stop:\n"
        "    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGTERM]).start()\n"
        "    ended = threading.Event()\n"
        "    threading.Thread(target=lambda: (stop.wait(), os.write(1, b'seen'), os._exit(7)), daemon=True).start()\n"
        "    libc, remaining = ctypes.CDLL(None), 0\n"
        "    while True:\n"
        "        remaining = libc.usleep(900000)\n"
    )
    assert (result.returncode, result.stdout) == (7, "seen")


@pytest.mark.parametrize("hangs", ["time.sleep(60)", "threading.Thread(target=time.sleep, args=[60]).start()"])
def test_what_hangs_is_named_and_ended(hangs: str) -> None:
    """In the block, or at the end of the interpreter, which waits for its threads."""
    result = run(
        "import os, signal, threading, time, logging\n"
        f"{SOON}\n"
        "logging.basicConfig(format='%(message)s')\n"
        "with shutdown.stop_on_signals() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert stop.wait(10)\n"
        f"    {hangs}\n"
    )
    assert result.returncode == 1, result
    assert FORCED in result.stderr
    assert "MainThread in " in result.stderr


def test_a_second_signal_ends_it_at_once() -> None:
    result = run(
        "import os, signal, time\n"
        "from indexer_project.shutdown import stop_on_signals\n"
        "with stop_on_signals() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert stop.wait(10)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    assert result.returncode == 128 + signal.SIGINT


def test_after_an_ordinary_end_signals_are_as_before() -> None:
    result = run(
        "import os, signal, time\n"
        "from indexer_project.shutdown import stop_on_signals\n"
        "with stop_on_signals():\n"
        "    pass\n"
        "assert signal.set_wakeup_fd(-1) == -1\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    assert result.returncode == -signal.SIGTERM


# The processes


@pytest.fixture(scope="module")
def gnotest() -> Recording:
    return recorded("gnotest-1")


@pytest.mark.db
@pytest.mark.indexer
@pytest.mark.django_db(transaction=True)
def test_a_signal_ends_every_process_though_the_database_is_frozen(tmp_path: Path, gnotest: Recording) -> None:
    fill_database("gnotest-1", last=5)
    commands = ("runsync", "processevents", "runstream")
    with (
        ReplaySource(gnotest, start=10) as source,
        daemons(tmp_path, *commands, sabotage=SOON, TX_INDEXER_URLS=source.url) as running,
    ):
        until(lambda: covered(9), "all blocks")
        running[2].says("The stream is at")
        frozen = freeze_others()
        try:
            source.advance(5)  # so that the synchronizer asks the database
            statuses = [each.stop() for each in running]
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
    assert statuses[:2] == [1, 1]
    assert statuses[2] in (0, 1), "an event loop leaves what hangs behind, or is ended as well"
    for each in running[:2]:
        assert FORCED in each.text
        assert "psycopg/" in each.text, each.text


@pytest.mark.db
@pytest.mark.indexer
@pytest.mark.django_db(transaction=True)
def test_a_signal_ends_every_process_though_the_queue_hangs(tmp_path: Path, gnotest: Recording) -> None:
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ReplaySource(gnotest, start=10) as source:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {
            "TX_INDEXER_URLS": source.url,
            "QUEUE": "sqs",
            "SQS_QUEUE_URL": f"{address}/000000000000/queue",
            "AWS_ENDPOINT_URL_SQS": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        with daemons(tmp_path, "runsync", "processevents", sabotage=SOON, **environment) as running:
            accepted = [silent.accept()[0] for _ in running]
            assert [each.stop() for each in running] == [1, 1]
            for connected in accepted:
                connected.close()
    for each, name in zip(running, ("relay", "MainThread"), strict=True):
        assert f"{name} in " in each.lines(FORCED)[0]


def freeze_others() -> list[int]:
    """Stop the processes of the server that serve others; skips the test where they are not of this machine."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        pids = [row[0] for row in cursor.fetchall()]
    frozen = []
    for pid in pids:
        try:
            os.kill(pid, signal.SIGSTOP)
        except (ProcessLookupError, PermissionError):
            pytest.skip("the server's processes are not this user's")
        frozen.append(pid)
    return frozen


DYING = {
    "processevents": "from balances.history import checkpoints; checkpoints.step = lambda most=None: 1 / 0",
    "runsync": "from blocks.sync import leadership; leadership._show_life = lambda pid, ended: 1 / 0",
    "runstream": "from balances.stream import server\nasync def die(*given): 1 / 0\nserver.follow = die",
}
RETURNING = {
    "processevents": "from balances.checkpoint_worker import Walker; Walker.run = lambda self: None",
    "runstream": "import uvicorn; uvicorn.Server.main_loop = lambda self: self.shutdown()",
}


@pytest.mark.db
@pytest.mark.indexer
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("command", "sabotage"),
    [*DYING.items(), *RETURNING.items()],
    ids=[*DYING, *(f"{each}-returns" for each in RETURNING)],
)
def test_a_thread_that_ends_ends_its_process(command: str, sabotage: str, tmp_path: Path, gnotest: Recording) -> None:
    fill_database("gnotest-1", last=5)
    with (
        ReplaySource(gnotest, start=10) as source,
        daemons(tmp_path, command, sabotage=sabotage, TX_INDEXER_URLS=source.url) as (process,),
    ):
        assert process.ends() == 1, process.text
    assert "Traceback" in process.text
    assert "ZeroDivisionError" in process.text or "came to an end before it was told to" in process.text
