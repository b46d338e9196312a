"""Schemathesis over the whole OpenAPI schema: no answer is a fault, and each is as the schema says.

A small budget of fixed cases here; `make fuzz` sends as many, of whatever seed, as FUZZ_EXAMPLES and FUZZ_SEED say.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.localstack import free_port
from tests.balances.api.routes import STREAM, make_ready
from tests.chains import fill_database
from tests.conftest import ROOT, database_url

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

SCHEMATHESIS = ROOT / ".venv-checks" / "bin" / "schemathesis"
PHASES = "examples,coverage,fuzzing"


@pytest.fixture
def served(transactional_db: None, tmp_path: Path) -> Iterator[str]:
    """The recorded chain, indexed, behind the server that production has; its URL."""
    fill_database("gnotest-1")
    make_ready(tip=485)
    port = free_port()
    environment = {"DATABASE_URL": database_url(), "SECRET_KEY": "only-for-tests", "HTTPS": "false"}
    command = [sys.executable, "-m", "granian", "--interface=wsgi", "--blocking-threads=2", "--no-ws", f"--port={port}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "indexer_project.wsgi:application"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **environment},
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def test_every_answer_is_as_the_schema_says(served: str) -> None:
    assert SCHEMATHESIS.exists(), "make checks"
    options = {
        "seed": os.environ.get("FUZZ_SEED", "1"),
        "max-examples": os.environ.get("FUZZ_EXAMPLES", "3"),
        "phases": PHASES,
        "workers": "2",
        "exclude-path": STREAM,
        "exclude-checks": "positive_data_acceptance",  # a schema cannot say what a cursor or a checksum is
        "generation-database": "none",
        "wait-for-schema": "60",
    }
    ran = subprocess.run(
        [SCHEMATHESIS, "run", f"{served}/schema", "--no-color", *(f"--{name}={of}" for name, of in options.items())],
        cwd=ROOT / "tests",
        env={"PATH": os.environ["PATH"], "SCHEMATHESIS_HOOKS": "fuzz_hooks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
