"""Logging in to the admin: five failures from an address shut it out for a while, and nothing else."""

from datetime import timedelta
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.db.models import F
from django.test import Client
from pytest_django import Settings

from balances.api.client_address import warn_of_unknown

pytestmark = [pytest.mark.django_db, pytest.mark.db]

PASSWORD = "correct horse battery staple"
BROWSER = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def _administrator(django_user_model: Any) -> None:
    django_user_model.objects.create_superuser("admin", password=PASSWORD)


def log_in(client: Client, password: str = PASSWORD, name: str = "admin", **meta: Any) -> int:
    return client.post("/admin/login/", {"username": name, "password": password}, **meta).status_code


def test_after_five_failures_not_even_the_password_is_looked_at(client: Client) -> None:
    assert [log_in(client, f"guess {number}", f"name {number}") for number in range(5)] == [200] * 4 + [429]
    refused = client.post("/admin/login/", {"username": "admin", "password": PASSWORD})
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert refused["Retry-After"] == "900"
    page = client.post("/admin/login/", {"username": "admin", "password": PASSWORD}, headers=BROWSER)
    assert (page.status_code, page["Content-Type"]) == (429, "text/html; charset=utf-8")
    assert b"Too many log-ins from your address failed. Try again in 15 minutes." in page.content


def test_who_is_shut_out_may_read_the_api_and_others_may_log_in(client: Client) -> None:
    for _ in range(5):
        log_in(client, "guess")
    assert client.get("/tokens/balances").status_code == 200
    assert client.get("/admin/login/").status_code == 200
    assert log_in(Client(), REMOTE_ADDR="192.0.2.7") == 302


def test_who_is_logged_in_stays_so(client: Client) -> None:
    assert log_in(client) == 302
    for _ in range(6):
        log_in(Client(), "guess")
    assert client.get("/admin/").status_code == 200


def test_it_ends_by_itself_and_is_not_drawn_out_by_further_attempts(client: Client) -> None:
    for _ in range(8):
        log_in(client, "guess")
    assert AccessAttempt.objects.get().failures_since_start == 5
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=14))
    assert log_in(client) == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=2))
    assert log_in(client) == 302


def test_behind_a_proxy_the_client_is_shut_out_and_not_the_proxy(client: Client, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for number in range(5):
        log_in(client, "guess", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 192.0.2.7")
    assert log_in(client, HTTP_X_FORWARDED_FOR="192.0.2.7") == 429
    assert log_in(client, HTTP_X_FORWARDED_FOR="192.0.2.7, 192.0.2.8") == 302


def test_a_port_behind_the_address_does_not_shut_out_others(client: Client, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    failed = [log_in(client, "guess", HTTP_X_FORWARDED_FOR=f"203.0.113.66:500{port}") for port in range(5)]
    assert failed == [200] * 4 + [429]
    assert log_in(client, HTTP_X_FORWARDED_FOR="203.0.113.66:6001") == 429
    assert log_in(client, HTTP_X_FORWARDED_FOR="198.51.100.20:6001") == 302


@pytest.mark.parametrize(
    "hidden",
    [
        {"HTTP_X_FORWARDED_FOR": "unknown"},
        {"HTTP_X_FORWARDED_FOR": "203.0.113.66, "},
        {"HTTP_X_FORWARDED_FOR": "unix:", "REMOTE_ADDR": ""},
        {"HTTP_X_FORWARDED_FOR": "", "REMOTE_ADDR": ""},
    ],
)
def test_an_address_that_is_not_known_shuts_out_nobody(
    client: Client, settings: Settings, hidden: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    settings.TRUSTED_PROXIES = 1
    warn_of_unknown.cache_clear()
    assert [log_in(Client(), "guess", **hidden) for _ in range(7)] == [200] * 7
    assert log_in(Client(), **hidden) == 302
    assert log_in(Client(), HTTP_X_FORWARDED_FOR="198.51.100.20") == 302
    (told,) = (record for record in caplog.records if record.name == "balances.api.client_address")
    assert "TRUSTED_PROXIES" in told.getMessage()


@pytest.mark.parametrize("name", ["x" * 10_000, "a\x00b", "\ud800", ""])
def test_strange_names_are_only_wrong(client: Client, name: str) -> None:
    assert log_in(client, name=name.encode("utf-8", "surrogatepass").decode("latin-1")) == 200


def test_no_password_is_kept(client: Client) -> None:
    log_in(client, "a mistyped secret")
    kept = AccessAttempt.objects.get()
    assert "mistyped" not in f"{kept.post_data} {kept.get_data}"
