"""CORS: pages of other origins may read the API, and nothing else."""

import pytest
from django.test import Client
from pytest_django import Settings

from tests.balances.api.routes import every_route

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

PAGE = {"Origin": "https://wallet.example.org"}
BROWSERS = {"X-Content-Type-Options", "X-Frame-Options"}
SENT = {
    *("accept", "cache-control", "content-type", "if-none-match", "last-event-id", "pragma", "prefer", "range"),
    *("traceparent", "x-api-key", "x-requested-with"),
}
"""What browsers, polyfills of EventSource, and libraries for requests ask for."""
PREFLIGHT = PAGE | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "if-none-match"}


@pytest.mark.parametrize("path", ["/nothing", "/tokens/balances?limit=0", "/schema", "/"])
def test_every_answer_can_be_read_and_so_can_errors(client: Client, path: str) -> None:
    for asked in (path, *every_route()):
        response = client.get(asked, headers=PAGE)
        assert response["Access-Control-Allow-Origin"] == "*"
        exposed = response["Access-Control-Expose-Headers"].split(", ")
        assert {"ETag", "Link", "X-Indexed-Height", "Retry-After"} <= set(exposed)
        assert "Access-Control-Allow-Credentials" not in response
        assert "Origin" not in response.get("Vary", ""), "the same answer for all"


def test_every_header_of_ours_can_be_read(client: Client) -> None:
    for path in ("/tokens/balances", "/tokens/balances?format=csv", "/tokens/transfer-history?format=ndjson&limit=1"):
        response = client.get(path, headers=PAGE)
        response.getvalue()  # a stream is open until it is read
        ours = {name for name in response.headers if name.startswith("X-") and name not in BROWSERS}
        assert ours <= set(response["Access-Control-Expose-Headers"].split(", "))


def test_a_304_can_be_read(client: Client) -> None:
    response = client.get("/tokens/balances", headers=PAGE | {"If-None-Match": "*"})
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (304, "*")


def test_a_browser_that_asks_before_is_told(client: Client) -> None:
    response = client.options("/tokens/balances", headers=PREFLIGHT)
    assert (response.status_code, response.content) == (204, b"")
    assert response["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    accepted = response["Access-Control-Allow-Headers"].lower().split(", ")
    assert set(accepted) >= SENT
    assert "Access-Control-Allow-Private-Network" not in response
    assert response["Access-Control-Allow-Origin"] == "*"
    assert client.options("/tokens/balances").status_code == 200, "what is not a browser's question is answered as ever"


def test_a_page_may_read_an_api_in_a_private_network_when_its_origin_may(settings: Settings, client: Client) -> None:
    settings.CORS_ORIGINS = [PAGE["Origin"]]
    ask = PREFLIGHT | {"Access-Control-Request-Private-Network": "true"}
    assert client.options("/tokens/balances", headers=ask)["Access-Control-Allow-Private-Network"] == "true"
    other = client.options("/tokens/balances", headers=ask | {"Origin": "https://other.example.org"})
    assert "Access-Control-Allow-Private-Network" not in other


@pytest.mark.parametrize("headers", [PAGE, PREFLIGHT])
def test_only_the_origins_that_are_named(settings: Settings, client: Client, headers: dict[str, str]) -> None:
    settings.CORS_ORIGINS = ["https://wallet.example.org", "https://explorer.example.org"]
    ask = client.options if "Access-Control-Request-Method" in headers else client.get
    named = ask("/tokens/balances", headers=headers)
    other = ask("/tokens/balances", headers=headers | {"Origin": "https://wallet.example.org.evil.example"})
    assert named["Access-Control-Allow-Origin"] == "https://wallet.example.org"
    assert "Access-Control-Allow-Origin" not in other
    for response in (named, other):
        assert "Origin" in response["Vary"]


def test_no_origin_at_all(settings: Settings, client: Client) -> None:
    settings.CORS_ORIGINS = []
    assert not [name for name in client.get("/tokens/balances", headers=PAGE).headers if "Access-Control" in name]


@pytest.mark.parametrize("headers", [PAGE, PREFLIGHT])
def test_the_admin_is_for_nobody_elses_pages(client: Client, headers: dict[str, str]) -> None:
    response = client.options("/admin/login/", headers=headers)
    assert "Access-Control-Allow-Origin" not in response
