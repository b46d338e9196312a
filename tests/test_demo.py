"""The demo on a developer's machine: one at a time, nothing left behind, nothing of other settings."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from demo import processes as demo_processes
from demo.alone import alone
from demo.environment import defaults, direct_loopback
from demo.processes import Processes, uninterrupted
from dev.localstack import free_port
from tests.conftest import ROOT
from tests.polling import until

# A process that ignores SIGTERM and has a child that does, too; both numbers go to its log.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
os.write(1, f"{os.getpid()} ".encode())
time.sleep(600)
"""
# A process that ends at SIGTERM and leaves a child behind.
FORGETFUL = STUBBORN.replace("os.fork()", "os.fork() and signal.signal(signal.SIGTERM, signal.SIG_DFL)")
SECOND = """
import sys, pathlib
from demo.__main__ import main
import demo.__main__
demo.__main__.ROOT = pathlib.Path(sys.argv[1])
sys.argv[1:] = ["--recording", sys.argv[2], "--port", sys.argv[3]]
sys.exit(main())
"""


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def numbers(log: Path) -> list[int]:
    return [int(word) for word in log.read_text().split()]


@pytest.mark.parametrize("code", [STUBBORN, FORGETFUL], ids=["hanging", "leaving a child behind"])
def test_children_that_hang_are_gone_when_the_block_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(demo_processes, "STOP_SECONDS", 0.5)
    log = tmp_path / "child.log"
    with Processes(tmp_path, {}) as processes:
        processes.start("child", "-c", code)
        until(lambda: len(numbers(log)) == 2, "the start of both")
    until(lambda: all(map(gone, numbers(log))), "the end of both")


def test_a_frozen_child_is_gone_when_the_block_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_processes, "STOP_SECONDS", 0.5)
    with Processes(tmp_path, {}) as processes:
        processes.start("child", "-c", "import time; time.sleep(600)")
        pid = processes._running["child"].pid
        os.kill(pid, signal.SIGSTOP)
    assert gone(pid)


def test_a_command_that_is_interrupted_is_not_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def interrupted(process: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        started.append(process.pid)
        monkeypatch.undo()
        raise KeyboardInterrupt

    processes = Processes(tmp_path, {})
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt), processes:
        processes.run("-c", "import time; time.sleep(600)")
    assert all(map(gone, started))


def test_an_interrupt_while_a_child_starts_comes_after_it() -> None:
    after: list[str] = []

    def block() -> None:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            after.append("the block went on")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert after == ["the block went on"]


def second_demo(root: Path, port: int) -> "subprocess.CompletedProcess[str]":
    """`python -m demo` with its data below `root`."""
    command = [sys.executable, "-c", SECOND, str(root), str(ROOT / "recordings" / "gnotest-1"), str(port)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_a_second_demo_in_the_same_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    data = tmp_path / ".data" / "demo"
    kept = data / "kept"
    with alone(data, free_port()):
        data.mkdir()
        kept.touch()
        done = second_demo(tmp_path, free_port())
        assert done.stderr == f"demo: another one runs in this folder (process {os.getpid()}): stop it first.\n"
    assert (done.returncode, done.stdout) == (1, "")
    assert kept.exists(), "the data of the first one"


def test_a_demo_whose_port_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = second_demo(tmp_path, port)
    assert done.stderr == (
        f"demo: port {port} of 127.0.0.1: Address already in use. Choose another one: make demo PORT=8001.\n"
    )
    assert done.returncode == 1


def test_a_demo_that_was_killed_keeps_no_other_out(tmp_path: Path) -> None:
    holding = "import os, signal, sys; from pathlib import Path; from demo.alone import alone\n"
    holding += "with alone(Path(sys.argv[1]), 0): os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", holding, str(tmp_path / "demo")], cwd=ROOT, timeout=30, check=False)
    with alone(tmp_path / "demo", 0):
        pass


@pytest.mark.parametrize(
    "before",
    [{}, {"NO_PROXY": "example.org"}, {"no_proxy": "example.org,127.0.0.1"}, {"NO_PROXY": "a", "no_proxy": "b"}],
)
def test_this_machine_is_reached_without_a_proxy(before: dict[str, str]) -> None:
    after = direct_loopback(before)
    assert after["NO_PROXY"] == after["no_proxy"]
    names = after["no_proxy"].split(",")
    assert {"127.0.0.1", "localhost", *before.get("no_proxy", before.get("NO_PROXY", "")).split(",")} - {""} <= {*names}
    assert len(names) == len(set(names))


def test_the_demo_sets_every_variable_that_dotenv_could() -> None:
    from django.conf import settings

    assert defaults().keys() == set(settings.SETTINGS_VARIABLES)
    assert defaults()["READY_STALL_SECONDS"] == "120"
