"""minHeight: an answer that waits for its height, for a bounded time, and holds nothing meanwhile."""

import threading
from dataclasses import replace

import pytest

from balances.api import long_request_slots
from balances.api.responses import min_height
from balances.indexed_height import read_indexed_height
from replay.recording import Recording
from tests.balances.api.client import LISTS, Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

TIP = 485
ACCOUNT = "/accounts/g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"


class Clock:
    """Time that passes by sleeping only."""

    now = longest = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.longest = max(self.longest, seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(min_height, "time", made)
    return made


@pytest.mark.parametrize("path", [*LISTS, ACCOUNT, "/tokens"])
def test_a_height_that_is_indexed_is_not_waited_for(gnotest: Recording, api: Api, clock: Clock, path: str) -> None:
    assert api.get(path, minHeight=TIP)["indexedHeight"] == TIP
    assert clock.now == 0
    api.problem(path, 409, minHeight=TIP + 1)
    assert clock.now == pytest.approx(2)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [(None, 2), ("wait=0", 0), ("wait=7", 7), ("respond-async, wait = 3", 3), ("wait=60", 10), ("wait=x", 2), ("", 2)],
)
def test_a_height_that_does_not_come_is_409_in_time(
    gnotest: Recording, api: Api, clock: Clock, prefer: str | None, seconds: float
) -> None:
    headers = {} if prefer is None else {"Prefer": prefer}
    response = api.client.get("/tokens", {"minHeight": TIP + 1}, headers=headers)
    body = response.json()
    assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
    assert (body["indexedHeight"], body["parameter"], response["Retry-After"]) == (TIP, "minHeight", "1")
    assert clock.now == pytest.approx(seconds)
    assert clock.longest <= 0.5, "it looks again soon"


def test_an_answer_comes_as_soon_as_its_height_does(
    gnotest: Recording, api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = read_indexed_height()
    before = replace(there, height=TIP - 1)
    monkeypatch.setattr(min_height, "read_indexed_height", lambda: there if clock.now > 1 else before)
    assert api.get("/tokens/transfer-history", minHeight=TIP)["indexedHeight"] == TIP
    assert 1 < clock.now < 1.5


def test_only_so_many_wait_at_a_time(
    gnotest: Recording, api: Api, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = threading.BoundedSemaphore(1)
    monkeypatch.setattr(long_request_slots, "_places", lambda: one)
    with long_request_slots.place() as free:
        assert free
        api.problem("/tokens", 409, minHeight=TIP + 1)
        assert clock.now == 0
    api.problem("/tokens", 409, minHeight=TIP + 1)
    assert clock.now == pytest.approx(2)


def test_a_replica_that_is_behind_is_409_too(gnotest: Recording, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = replace(read_indexed_height(), height=TIP + 1)
    monkeypatch.setattr(min_height, "read_indexed_height", lambda: ahead)
    for path, query in (("/tokens", {}), ("/tokens", {"format": "csv"}), (ACCOUNT, {})):
        assert api.problem(path, 409, minHeight=TIP + 1, **query)["indexedHeight"] == TIP
    response = api.client.get("/tokens", {"minHeight": TIP + 1}, headers={"If-None-Match": "*"})
    assert response.status_code == 409, "what a client has may be older than the height that it wants to see"


@pytest.mark.parametrize("value", ["", "-1", "x", "1.5", str(2**63 - 1), "9" * 30])
def test_what_is_no_height_is_refused(api: Api, value: str) -> None:
    assert api.problem("/tokens", 400, minHeight=value)["parameter"] == "minHeight"
