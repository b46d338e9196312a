"""Probes: whatever asks for /health and /ready, and by whatever name, is answered."""

import logging

import pytest
from django.test import Client
from pytest_django import Settings

from replay.recording import Recording
from tests.balances.api.routes import make_ready

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOSTS = [
    *("10.244.1.17:8000", "10.244.1.17", "[fd00::17]:8000", "127.0.0.1:8000", "indexer.default.svc.cluster.local"),
    *("evil.example", "", "a b", "<script>", "x" * 5000, "é", ":80", "host:port", "[::1"),
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("https", [False, True])
def test_a_probe_is_answered_whatever_its_host(
    gnotest: Recording, client: Client, settings: Settings, host: str, https: bool, caplog: pytest.LogCaptureFixture
) -> None:
    make_ready(tip=485)
    settings.ALLOWED_HOSTS = ["balances.example.org"]
    settings.SECURE_SSL_REDIRECT = https
    expected = client.get("/health", headers={"Host": "balances.example.org"}).content
    for path in ("/health", "/health/", "/ready", "/ready/"):
        for method in (client.get, client.head):
            for accept in ("*/*", "text/plain"):
                response = method(path, HTTP_HOST=host, headers={"Accept": accept})
                assert (response.status_code, response["Content-Type"]) == (200, "application/json")
        if "health" in path:
            assert client.get(path, HTTP_HOST=host).content == expected
        page = client.get(path, HTTP_HOST=host, headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert not host or host.encode() not in page.content, "nothing is made of it"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_probe_that_is_not_ready_says_so_whatever_its_host(client: Client) -> None:
    response = client.get("/ready", HTTP_HOST="10.244.1.17:8000")
    assert (response.status_code, response["Content-Type"]) == (503, "application/problem+json")


def test_a_probe_may_use_the_path_prefix(client: Client, settings: Settings) -> None:
    settings.PATH_PREFIX = "/indexer"
    for path in ("/indexer/health", "/indexer/health/", "/health"):
        assert client.get(path, HTTP_HOST="10.244.1.17").status_code == 200


@pytest.mark.parametrize(
    "path", ["/status", "/tokens", "/", "/healthy", "/tokens/health", "/admin/login/", "/health/x"]
)
def test_no_other_route_is_answered_for_any_host(client: Client, path: str) -> None:
    assert client.get(path, HTTP_HOST="evil.example").status_code == 400
    assert client.get(path.upper(), HTTP_HOST="evil.example").status_code == 400
