"""The whole system, started: database, source, synchronizer, two processors, the API and its stream of events."""

import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.environment import defaults, direct_loopback
from demo.processes import INTERRUPTS, ROOT, Processes, uninterrupted
from dev import localstack
from dev.localstack import free_port
from indexer_project import embedded_postgres

PROCESSORS = ("processevents-1", "processevents-2")


@dataclass(frozen=True)
class Plan:
    """What to run. `start`, `blocks_per_second`: what the source has at once, and how fast the rest comes."""

    recording: Path
    data: Path
    queue: str
    port: int
    start: str
    blocks_per_second: float


@dataclass(frozen=True)
class System:
    """Addresses of what runs, and the admin's password of this run."""

    processes: Processes
    api: str
    source: str
    password: str


@contextmanager
def running(plan: Plan) -> Iterator[System]:
    """Everything of `plan`, on a fresh database under `plan.data`; all of it is stopped at the end, within seconds."""
    with ExitStack() as stack:
        try:
            yield _start(plan, stack)
        finally:
            # What is left to do takes seconds, and interrupted it would leave processes behind.
            for number in INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def _start(plan: Plan, stack: ExitStack) -> System:
    shutil.rmtree(plan.data, ignore_errors=True)
    plan.data.mkdir(parents=True, exist_ok=True)
    postgres = plan.data / "postgres"
    stack.callback(embedded_postgres.stop, postgres)
    with uninterrupted():
        database_url = embedded_postgres.start(postgres)
    source_port, stream_port = free_port(), free_port()
    password = secrets.token_urlsafe(9)
    source = f"http://127.0.0.1:{source_port}/graphql/query"
    environment = {
        **defaults(),
        **direct_loopback(),
        "DATABASE_URL": database_url,
        "TX_INDEXER_URLS": source,
        "QUEUE": plan.queue,
        "SECRET_KEY": secrets.token_urlsafe(40),
        "HTTPS": "false",
        "STREAM_PORT": str(stream_port),
        "STREAM_URL": f"http://127.0.0.1:{stream_port}/events/stream",
        "DJANGO_SUPERUSER_PASSWORD": password,
        "PYTHONUNBUFFERED": "1",
    }
    if plan.queue == "sqs":
        environment |= stack.enter_context(sqs(plan.data))
    processes = stack.enter_context(Processes(plan.data / "logs", environment))
    processes.run("manage.py", "migrate", "--verbosity=0")
    processes.run("manage.py", "createsuperuser", "--noinput", "--username=admin", "--email=admin@example.org")
    rate = ["--blocks-per-second", str(plan.blocks_per_second)] if plan.blocks_per_second else []
    processes.start(
        "source", "-m", "replay", str(plan.recording), f"--port={source_port}", f"--start={plan.start}", *rate
    )
    processes.start("runsync", "manage.py", "runsync")
    for name in PROCESSORS:
        processes.start(name, "manage.py", "processevents")
    processes.start("runstream", "manage.py", "runstream")
    processes.start(
        "api", "-m", "granian", "--interface=wsgi", "--host=127.0.0.1", f"--port={plan.port}", "--workers=1",
        "--blocking-threads=4", "indexer_project.wsgi:application",
    )  # fmt: skip
    return System(processes, f"http://127.0.0.1:{plan.port}", source, password)


@contextmanager
def sqs(data: Path) -> Iterator[dict[str, str]]:
    """A LocalStack for this run; gives the environment that leads to it."""
    port = free_port()
    with localstack.start(ROOT / ".venv-localstack", port, data / "localstack.log"):
        yield {
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
            "SQS_CREATE_QUEUE": "true",
        }
