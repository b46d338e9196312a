"""What all tests share: a real PostgreSQL (embedded unless DATABASE_URL is set), and settings for one machine."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from demo.environment import direct_loopback
from dev import localstack
from events.queues.sqs.queue import SqsQueue, SqsSettings
from indexer_project import embedded_postgres
from indexer_project.databases import database_at
from indexer_project.settings import env
from replay.recording import Recording, load_recording

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tx-indexer-url", help="run the indexer tests against this real server too")
    parser.addoption("--min-blocks", type=int, default=5, help="blocks that a live subscription must deliver (5)")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--tx-indexer-url"):  # then nothing outside this machine is asked, and no proxy either
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            del os.environ[name]
    os.environ.update(direct_loopback())
    # No test depends on what the developer's .env says about HTTPS or keys.
    settings.SECRET_KEY = "only-for-tests"
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
    settings.SECURE_SSL_REDIRECT = False
    # The tests have a database, whether or not the environment names one.
    settings.SETTINGS_PROBLEMS = tuple(each for each in settings.SETTINGS_PROBLEMS if each.name != "DATABASE_URL")
    # Each test client would list every static file there is, and warn that none were collected.
    settings.STATIC_ROOT = None
    settings.WHITENOISE_USE_FINDERS = False
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Start the embedded PostgreSQL when there is no other, before Django makes the test database in it.

    Each process of a parallel run has its own: what one does to its server no other may see.
    """
    if settings.DATABASE_URL:
        return
    process = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    url = embedded_postgres.start(embedded_postgres.DATA_DIR / f"test-postgres-{process}")
    with psycopg.connect(url, autocommit=True) as server:
        # Tests kill clients, never this server: nothing of it must outlive the machine. And vacuuming by itself makes
        # transactions, connections and statistics when no test expects them.
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            server.execute(f"ALTER SYSTEM SET {setting} = off")
        server.execute("SELECT pg_reload_conf()")
    connections["default"].settings_dict.update(database_at(env, "database", "DATABASE_URL", url) or {})


@pytest.fixture(scope="session")
def sqs_endpoint() -> Iterator[str]:
    """The URL of an SQS API: AWS_ENDPOINT_URL_SQS where it is set, else a LocalStack for the tests' time."""
    if endpoint := os.environ.get("AWS_ENDPOINT_URL_SQS"):
        yield endpoint
        return
    port = localstack.free_port()
    log = embedded_postgres.DATA_DIR / "test-localstack" / f"{port}.log"
    with localstack.start(localstack.VENV, port, log):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def sqs_settings(sqs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> SqsSettings:
    """Settings of a queue that nobody else uses, made at first use; boto3's environment points at the test server."""
    for name, value in {
        "AWS_ENDPOINT_URL_SQS": sqs_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, os.environ.get(name, value))
    return SqsSettings(url="", name=f"test-{uuid.uuid4()}", region="", create=True, visibility_seconds=60)


@pytest.fixture
def sqs_queue(sqs_settings: SqsSettings) -> Iterator[SqsQueue]:
    """A fresh queue."""
    queue = SqsQueue(sqs_settings)
    yield queue
    queue.close()


def database_url() -> str:
    """The URL of the test database, for tests that start real processes."""
    of = connections["default"].settings_dict
    password = f":{quote(of['PASSWORD'], safe='')}" if of["PASSWORD"] else ""
    return f"postgresql://{of['USER']}{password}@{quote(of['HOST'], safe='')}:{of['PORT'] or 5432}/{of['NAME']}"


def recorded(name: str) -> Recording:
    """One of the recorded chains: "gnotest-1" or "test5-1"."""
    return load_recording(ROOT / "recordings" / name)
