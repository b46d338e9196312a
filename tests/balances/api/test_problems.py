"""Errors: of every kind, in one shape, for programs and for people."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection, connections
from django.test import Client
from pytest_django import Settings
from rest_framework.exceptions import Throttled

from postgres import snapshot
from tests.balances.api.client import LISTS, Api

pytestmark = [pytest.mark.api]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def quiet() -> Client:
    """A client that gets the answer to a fault instead of the exception."""
    return Client(raise_request_exception=False)


def fail_with(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail


@pytest.mark.parametrize("path", ["/nothing", "/token", "/accounts", "/accounts/x/y", "/healthy", "/schema.json"])
def test_an_unknown_route_is_404(api: Api, path: str) -> None:
    assert path in api.problem(path, 404)["detail"]


def test_a_person_gets_a_page_for_an_unknown_route(client: Client) -> None:
    response = client.get("/<script>nothing", headers={"Accept": BROWSER})
    assert (response.status_code, response["Content-Type"]) == (404, "text/html; charset=utf-8")
    assert b"<script>nothing" not in response.content


@pytest.mark.parametrize("path", [*LISTS, "/health", "/"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_can_be_changed(client: Client, path: str, method: str) -> None:
    response = getattr(client, method)(path)
    assert response.status_code == 405
    assert response["Content-Type"] == "application/problem+json"
    assert response["Allow"] == "GET, HEAD, OPTIONS"
    assert response.json()["error"]


@pytest.mark.parametrize("path", LISTS)
def test_a_type_that_is_not_served_is_406(client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "image/png"})
    assert (response.status_code, response["Content-Type"]) == (406, "application/problem+json")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("error", [OperationalError("gone\n"), InterfaceError("gone")])
def test_a_database_that_is_away_is_503(api: Api, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception) -> None:
    monkeypatch.setattr("django.db.transaction.atomic", lambda: fail_with(error)())
    monkeypatch.setattr(snapshot, "connection", SimpleNamespace(in_atomic_block=False))
    problem = api.problem(path, 503)
    assert "gone" not in problem["detail"]
    assert api.client.get(path)["Retry-After"] == "5"


@pytest.mark.django_db(transaction=True)
@pytest.mark.db
def test_a_database_that_comes_back_is_used_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    connections["default"].close()
    settings = connections["default"].settings_dict
    monkeypatch.setitem(settings, "HOST", "/nowhere")
    monkeypatch.setitem(settings, "OPTIONS", {**settings["OPTIONS"], "host": "/nowhere"})
    api.problem(LISTS[0], 503)
    monkeypatch.undo()
    assert api.get(LISTS[0])["balances"] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.db
def test_a_connection_that_broke_is_replaced(api: Api) -> None:
    api.get(LISTS[0])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (process,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [process])
    other.close()
    assert api.client.get(LISTS[0]).status_code in (200, 503)
    assert api.get(LISTS[0])["balances"] == []


@pytest.mark.parametrize("path", ["/tokens/balances", "/admin/login/"])
def test_a_fault_is_500_and_says_nothing_of_the_inside(
    quiet: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("balances.api.views.tokens.parse_list_request", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("django.contrib.auth.views.LoginView.as_view", lambda *_, **__: 1 / 0)
    response = quiet.get(path)
    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert b"division" not in response.content
    page = quiet.get(path, headers={"Accept": BROWSER})
    assert (page.status_code, page["Content-Type"]) == (500, "text/html; charset=utf-8")


def test_the_admin_says_503_too(quiet: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.contrib.auth.views.LoginView.as_view", lambda *_, **__: fail_with(OperationalError())())
    response = quiet.get("/admin/login/", headers={"Accept": BROWSER})
    assert (response.status_code, response["Retry-After"]) == (503, "5")


def test_too_many_requests_say_when_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balances.api.views.tokens.parse_list_request", lambda *_, **__: fail_with(Throttled(wait=7))())
    assert "7 seconds" in api.problem(LISTS[0], 429)["detail"]
    assert api.client.get(LISTS[0])["Retry-After"] == "7"


def test_a_host_that_is_not_served_is_400(quiet: Client, settings: Settings) -> None:
    response = quiet.get("/tokens", headers={"Host": "evil.example"})
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


def test_too_many_parameters_are_400(quiet: Client) -> None:
    response = quiet.get("/tokens/balances?" + "&".join(f"a{number}=1" for number in range(2000)))
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")


def test_health_asks_nobody(client: Client) -> None:
    for path in ("/health", "/health/"):
        response = client.get(path)
        assert (response.status_code, response.json()["status"]) == (200, "ok")
    assert response.json().keys() == {"status", "version"}
