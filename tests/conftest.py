"""What all tests share: a real PostgreSQL (embedded unless DATABASE_URL is set), and settings for one machine."""

from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from environ import Env

from indexer_project import embedded_postgres
from replay.recording import Recording, load_recording

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tx-indexer-url", help="run the indexer tests against this real server too")
    parser.addoption("--min-blocks", type=int, default=5, help="blocks that a live subscription must deliver (5)")


def pytest_configure(config: pytest.Config) -> None:
    # No test depends on what the developer's .env says about HTTPS or keys.
    settings.SECRET_KEY = "only-for-tests"
    settings.ALLOWED_HOSTS = ["testserver", "127.0.0.1", "localhost"]
    settings.SECURE_SSL_REDIRECT = False
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> None:
    """Start the embedded PostgreSQL when there is no other, before Django makes the test database in it."""
    if settings.DATABASE_URL:
        return
    url = embedded_postgres.start(embedded_postgres.DATA_DIR / "test-postgres")
    connections["default"].settings_dict.update(Env.db_url_config(url))


def database_url() -> str:
    """The URL of the test database, for tests that start real processes."""
    of = connections["default"].settings_dict
    host = of["OPTIONS"].get("host", "")
    if host:
        return f"postgresql://{of['USER']}@/{of['NAME']}?host={host}"
    password = f":{of['PASSWORD']}" if of["PASSWORD"] else ""
    return f"postgresql://{of['USER']}{password}@{of['HOST']}:{of['PORT'] or 5432}/{of['NAME']}"


def recorded(name: str) -> Recording:
    """One of the recorded chains: "gnotest-1" or "test5-1"."""
    return load_recording(ROOT / "recordings" / name)
