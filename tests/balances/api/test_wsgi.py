"""What the served API has of its own: it refuses to start by name, and pools its connections."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.api]

SHOW = """
from indexer_project.wsgi import application
from django.conf import settings
print(settings.DATABASES["default"]["CONN_MAX_AGE"], settings.DATABASES["default"]["OPTIONS"].get("pool"))
"""


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Import the WSGI application in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SHOW],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": "postgresql://nobody@localhost/nothing", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_pool_each_thread_keeps_its_connection() -> None:
    assert start(SECRET_KEY="only-for-tests").stdout == "600 None\n"


def test_a_pool_is_for_the_served_api() -> None:
    shown = start(SECRET_KEY="only-for-tests", DATABASE_POOL_SIZE="5").stdout
    assert shown.startswith("0 {")
    assert "'max_size': 5" in shown


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "SECRET_KEY"),
        ({"SECRET_KEY": "x", "HTTPS": "perhaps"}, "HTTPS"),
        ({"DATABASE_URL": "mysql://host/name"}, "DATABASE_URL"),
    ],
)
def test_what_is_missing_or_wrong_is_said_by_name(environment: dict[str, str], name: str) -> None:
    ended = start(**environment)
    assert ended.returncode != 0
    assert f"CommandError: {name}" in ended.stderr or f"\n{name}" in ended.stderr
