"""Limits: by address or by key, on every route of the API, with an answer that says when to come back."""

import pytest
from django.test import Client
from pytest_django import Settings
from rest_framework.exceptions import Throttled

from balances.api import throttling
from balances.api.throttling import Limit
from tests.balances.api.client import LISTS, Api
from tests.balances.api.routes import every_route

pytestmark = [pytest.mark.api]

KEY = "a-key-of-somebody"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Two requests in ten seconds are allowed for an address, and four for the key."""
    clock = Clock()
    monkeypatch.setattr(throttling, "_addresses", Limit(2, 10, clock=clock))
    monkeypatch.setattr(throttling, "_keys", Limit(4, 10, clock=clock))
    monkeypatch.setattr(throttling, "_known", frozenset({throttling._digest(KEY)}))
    return clock


def statuses(client: Client, number: int, path: str = LISTS[0], **headers: str) -> list[int]:
    return [client.get(path, headers=headers).status_code for _ in range(number)]


@pytest.mark.django_db
@pytest.mark.db
def test_every_route_is_limited_but_those_that_watch_the_service(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (*every_route(), "/schema", "/docs"):
        monkeypatch.setattr(throttling, "_addresses", Limit(1, 3600))
        client.head("/tokens/balances")
        assert (client.get(path).status_code == 429) is (path not in UNLIMITED), path


UNLIMITED = ("/health", "/ready")


@pytest.mark.django_db
@pytest.mark.db
def test_one_too_many_is_429_and_says_when(api: Api, clock: Clock) -> None:
    assert statuses(api.client, 3) == [200, 200, 429]
    problem = api.problem(LISTS[0], 429)
    assert "2 in 10 seconds are allowed for an address" in problem["detail"]
    refused = api.client.get(LISTS[0])
    assert refused["Retry-After"] == "5"
    assert "no-cache" not in refused.get("Cache-Control", "")
    clock.now += 5
    assert statuses(api.client, 2) == [200, 429]
    clock.now += 100
    assert statuses(api.client, 3) == [200, 200, 429], "what was not used does not add up"


def test_a_request_counts_once_whoever_looks_at_it(clock: Clock) -> None:
    meta = {"REMOTE_ADDR": "192.0.2.1"}
    for _ in range(3):
        throttling.count_request(meta)
    throttling.count_request({"REMOTE_ADDR": "192.0.2.1"})
    refused = {"REMOTE_ADDR": "192.0.2.1"}
    for _ in range(2):
        with pytest.raises(Throttled):
            throttling.count_request(refused)


@pytest.mark.django_db
@pytest.mark.db
def test_a_304_counts(client: Client, clock: Clock) -> None:
    assert [client.get(LISTS[0], headers={"If-None-Match": "*"}).status_code for _ in range(3)] == [304, 304, 429]


@pytest.mark.django_db
@pytest.mark.db
def test_a_key_counts_for_itself_and_one_that_is_not_known_as_none(client: Client, clock: Clock) -> None:
    assert statuses(client, 5, **{"X-API-Key": KEY}) == [200, 200, 200, 200, 429]
    refused = client.get(LISTS[0], headers={"X-API-Key": KEY})
    assert "4 in 10 seconds are allowed for this key" in refused.json()["detail"]
    assert statuses(client, 3, **{"X-API-Key": "guessed"}) == [200, 200, 429]
    assert statuses(client, 1, **{"X-API-Key": "guessed again"}) == [429]


@pytest.mark.django_db
@pytest.mark.db
def test_addresses_do_not_share(client: Client, clock: Clock) -> None:
    assert [client.get(LISTS[0], REMOTE_ADDR="192.0.2.1").status_code for _ in range(3)] == [200, 200, 429]
    assert client.get(LISTS[0], REMOTE_ADDR="192.0.2.2").status_code == 200


@pytest.mark.django_db
@pytest.mark.db
def test_the_port_that_a_proxy_adds_is_no_other_client(client: Client, settings: Settings, clock: Clock) -> None:
    settings.TRUSTED_PROXIES = 1

    def ask(forwarded: str) -> int:
        return client.get(LISTS[0], headers={"X-Forwarded-For": forwarded}).status_code

    assert [ask(f"203.0.113.7:4{port}001") for port in range(3)] == [200, 200, 429]
    assert [ask(f"[2001:db8::9]:{port}") for port in (4711, 4712, 4713)] == [200, 200, 429]
    assert ask("198.51.100.9:5555") == 200


@pytest.mark.django_db
@pytest.mark.db
def test_clients_whose_addresses_are_hidden_share_a_limit_with_nobody_else(
    client: Client, settings: Settings, clock: Clock
) -> None:
    settings.TRUSTED_PROXIES = 1

    def ask(forwarded: str, REMOTE_ADDR: str = "127.0.0.1") -> int:
        return client.get(LISTS[0], headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR=REMOTE_ADDR).status_code

    assert [ask(junk) for junk in ("unknown", "_hidden", "", "spoofed, ", "192.0.2.300")] == [200, 200, 429, 429, 429]
    assert ask("198.51.100.9") == 200
    assert ask("unknown", REMOTE_ADDR="192.0.2.99") == 200, "what is believed next is where the connection is from"
    assert [ask(f"unix:{number}", REMOTE_ADDR="") for number in range(4)] == [200] * 4, "no limit for all at once"


@pytest.mark.django_db
@pytest.mark.db
def test_there_is_no_limit_unless_one_is_set(client: Client) -> None:
    assert set(statuses(client, 20)) == {200}


def test_requests_of_an_even_rate_are_all_answered() -> None:
    clock = Clock()
    limit = Limit(7, 3, clock=clock)
    assert [limit.take("a") for _ in range(7)] == [None] * 7
    for _ in range(1000):
        clock.now += 3 / 7
        assert limit.take("a") is None
        assert limit.take("a") is not None


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttling, "MOST_CLIENTS", 100)
    clock = Clock()
    limit = Limit(1, 10, clock=clock)
    for number in range(1000):
        assert limit.take(number) is None
        assert len(limit._spent) <= 100
    clock.now += 100
    limit.take("busy")
    for number in range(98):
        clock.now += 1
        limit.take(number)
        limit.take("busy")
    assert limit.take("busy") is not None, "who is over the limit is not forgotten with those who are not"
