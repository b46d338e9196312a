"""Credentials and keys in an endpoint's address are nowhere to be seen: logs, tables, metrics, answers, commands."""

import json
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from prometheus_client import CollectorRegistry, generate_latest

from indexer_project.metrics import ProcessCollector
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import covered, wait_until
from tests.conftest import ROOT, database_url
from tests.gateway import Gateway

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

SECRETS = ("hunter2", "someuser", "KEY", "0123456789abcdef", "c29tZXVzZXI")
TABLES = ("endpoint_states", "incomplete_heights", "chain")


def everything_shown(client: Client) -> dict[str, str]:
    """All that people and programs see of endpoints, by where."""
    status, as_json = StringIO(), StringIO()
    call_command("status", stdout=status)
    call_command("status", json=True, stdout=as_json)
    registry = CollectorRegistry()
    registry.register(ProcessCollector(dict))
    shown = {
        "status": status.getvalue(),
        "status --json": as_json.getvalue(),
        "/metrics": generate_latest(registry).decode(),
        "/status": client.get("/status").content.decode(),
    }
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT json_agg(t)::text FROM {table} t")
            shown[table] = cursor.fetchone()[0] or ""
    return shown


def runsync(log: Path, **environment: str) -> "subprocess.Popen[bytes]":
    variables = {"PATH": os.environ["PATH"], "DATABASE_URL": database_url(), "SYNC_POLL_SECONDS": "0.05"}
    with log.open("wb") as out:
        command = [sys.executable, "manage.py", "runsync"]
        return subprocess.Popen(command, cwd=ROOT, env=variables | environment, stdout=out, stderr=out)


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_secrets_of_addresses_and_proxy_are_shown_nowhere(
    short: Recording, tmp_path: Path, client: Client, level: str
) -> None:
    log = tmp_path / "runsync.log"
    with (
        ReplaySource(short) as source,
        Gateway(upstream=source.url, credentials="someuser:hunter2") as good,
        Gateway(upstream=source.url, credentials="somebody:else") as quoting,
        Gateway(credentials="someuser:hunter2") as proxy,
    ):
        quoted = "no route /0123456789abcdef?apikey=KEY for someuser:hunter2"
        quoting.refusal = (200, json.dumps({"errors": [{"message": quoted}]}).encode())
        secret = "/0123456789abcdef?apikey=KEY"
        addresses = [
            f"http://someuser:wrong-hunter2@{good.address}{secret}",
            f"http://someuser:hunter2@{good.address}{secret}",
            f"http://someuser:hunter2@{good.address}{secret}#connections=2",
            f"http://someuser:hunter2@{quoting.address}{secret}",
            f"http://someuser:hunter2@no-such-host.invalid{secret}",
        ]
        process = runsync(
            log,
            TX_INDEXER_URLS=",".join(addresses),
            TX_INDEXER_PROXY=f"http://someuser:hunter2@{proxy.address}",
            NO_PROXY="no-such-host.invalid",
            LOG_LEVEL=level,
        )
        try:
            wait_until(lambda: covered(59), 20, log.read_text)
            wait_until(lambda: log.read_text().count("Endpoint left") >= 3, 20, log.read_text)
            wait_until(lambda: "Subscription lost" in log.read_text(), 20, log.read_text)
            shown = everything_shown(client)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    shown["log"] = log.read_text()
    for name in (f"http://{good.address}", f"http://{good.address} (2)", "http://no-such-host.invalid"):
        assert name in shown["endpoint_states"]
        assert name in shown["/metrics"]
    assert "HTTP 401" in shown["log"]
    assert {(where, each) for where, text in shown.items() for each in SECRETS if each in text} == set()


def test_an_address_that_cannot_be_used_ends_the_start_without_being_shown(tmp_path: Path) -> None:
    log = tmp_path / "runsync.log"
    process = runsync(
        log,
        TX_INDEXER_URLS="http://someuser:hunter2/x@host/q,http://someuser:KEY@host:port/q",
        TX_INDEXER_PROXY="",
        DATABASE_URL="postgresql://someuser:hunter2@127.0.0.1:1/nowhere",
    )
    assert process.wait(20) == 1
    text = log.read_text()
    assert "TX_INDEXER_URLS, address 1 of 2" in text
    assert "TX_INDEXER_URLS, address 2 of 2" in text
    assert [each for each in SECRETS if each in text] == []


def test_a_wrong_proxy_ends_the_start_by_the_name_of_its_variable(tmp_path: Path) -> None:
    log = tmp_path / "runsync.log"
    process = runsync(log, TX_INDEXER_URLS="http://host/q", ALL_PROXY="socks5://someuser:hunter2@127.0.0.1:1080")
    assert process.wait(20) == 1
    text = log.read_text()
    assert "ALL_PROXY is not a proxy that can be used: SOCKS is not supported" in text
    assert [each for each in SECRETS if each in text] == []
