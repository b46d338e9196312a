"""``python -m replay``, as a process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from replay.__main__ import main

pytestmark = pytest.mark.indexer

ROOT = Path(__file__).parents[2]
FOLDER = str(ROOT / "recordings" / "test5-1")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_and_exits_zero(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "replay", FOLDER, "--port", "0", "--start", "50%", "--cap", "5"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"replaying \S+test5-1 at (http://127\.0\.0\.1:\d+/graphql/query), tip 102\n", line)
            assert found, line
            body = b'{"query":"{latestBlockHeight getBlocks(where:{}){height}}"}'
            answer = urllib3.request("POST", found[1], body=body, headers={"Content-Type": "application/json"})
            assert answer.json()["data"]["latestBlockHeight"] == 102
            assert len(answer.json()["data"]["getBlocks"]) == 5
            process.send_signal(number)
            rest, complaints = process.communicate(timeout=10)
            assert (process.returncode, rest, complaints) == (0, "", "")
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--start", "120%"], "--start: 120 is out of range; wanted 0.0 to 100.0"),
        (["--start", "some"], "--start: 'some' is no number; wanted 0 or more"),
        (["--late", "0.5"], "--late: '0.5' lacks the seconds; write CHANCE:SECONDS, such as 0.1:2"),
        (["--server-error", "2"], "--server-error: 2 is out of range; wanted 0 to 1"),
        (["--cut-body", "nan"], "--cut-body: nan is out of range; wanted 0 to 1"),
        (["--missing-transaction", "7"], "'7' lacks the number of asks; write HEIGHT:ASKS"),
        (["--remove", "GnoEvent.func"], "no GnoEvent.func in the schema"),
        (["--other-chain", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_a_bad_option_is_named_with_the_way_out(
    capsys: pytest.CaptureFixture[str], options: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as left:
        main([FOLDER, *options])
    assert left.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_taken_port_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit):
            main([FOLDER, "--port", str(port)])
    assert f"cannot listen at 127.0.0.1:{port}: Address already in use; try another --port" in capsys.readouterr().err
