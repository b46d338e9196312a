"""LocalStack from a virtual environment of its own: an SQS for the demo and the tests of a machine without Docker."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

VENV = Path(__file__).resolve().parent.parent / ".venv-localstack"

# It reads its standard input beside its work: when the process that started it is gone, however that ended, so is it.
_RUN = """
import os, runpy, signal, sys, threading
def end_with_parent():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)
threading.Thread(target=end_with_parent, daemon=True).start()
runpy.run_module("localstack.runtime.main", run_name="__main__")
"""

START_SECONDS = 60.0
STOP_SECONDS = 5.0


class LocalStackFailed(Exception):
    """LocalStack is not installed, or did not come up; the message says what to do, or where its log is."""


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_problem(port: int) -> str | None:
    """Why nothing can listen at this port of the loopback interface, None when something can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror
        except OverflowError as error:
            return str(error)
    return None


@contextmanager
def start(venv: Path, port: int, log_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run LocalStack's SQS at http://127.0.0.1:`port` while the block lasts; its files stay beside `log_path`.

    The block begins when SQS answers, and nothing is left running after it, however it ends. LocalStack listens on all
    interfaces of the machine, whatever it is told: it is for a machine of one's own. Raises `LocalStackFailed`.
    """
    python = venv / "bin" / "python"
    if not python.exists():
        raise LocalStackFailed(f"LocalStack is not installed in {venv}: run `make localstack` once.")
    # Otherwise a server that already listens there would pass for the one that could not start.
    if problem := port_problem(port):
        raise LocalStackFailed(f"LocalStack cannot have port {port}: {problem}.")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # a fixed command of our own virtual environment
            [python, "-c", _RUN],
            env=_environment(port, log_path.with_suffix("")),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own: Ctrl-C reaches it through us, and all of it can be stopped
        )
    try:
        _wait_until_running(process, port, log_path)
        yield process
    finally:
        _stop(process)


def _environment(port: int, files: Path) -> dict[str, str]:
    # Only what it needs: an AWS_PROFILE or an endpoint of the person's own must not leak into it.
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    temporary = files.resolve() / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return kept | {
        # Nothing of it lies where that of another user may be.
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(temporary),
        "CONFIG_DIR": str(temporary),
        "SERVICES": "sqs",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        # In a container it would take itself for its own image and write to /var/lib.
        "OVERRIDE_IN_DOCKER": "0",
        "FILESYSTEM_ROOT": str(files.resolve()),
    }


def _wait_until_running(process: "subprocess.Popen[bytes]", port: int, log_path: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever HTTP_PROXY says
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LocalStackFailed(f"LocalStack ended with status {process.returncode}: see {log_path}.")
        with suppress(OSError, urllib.error.URLError):
            url = f"http://127.0.0.1:{port}/_localstack/health"
            with direct.open(url, timeout=2) as answer:
                running = b'"sqs": "running"' in answer.read()
            if running:
                _ask_once(port)
                return
        time.sleep(0.1)
    raise LocalStackFailed(f"LocalStack's SQS does not answer after {START_SECONDS:.0f} s: see {log_path}.")


def _ask_once(port: int) -> None:
    """The first request loads the rest of it, which may take longer than a client waits."""
    headers = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/sqs/aws4_request",
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "AmazonSQS.ListQueues",
    }
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", b"{}", headers)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, urllib.error.URLError):
        direct.open(request, timeout=START_SECONDS).close()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the whole process group: politely first, for good afterwards."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        # The group outlives its first process when a child of it hangs, so the group is what is signalled and asked.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
