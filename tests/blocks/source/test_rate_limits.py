"""Sources that limit requests: what was read is kept, and a limit is answered by fewer requests at once."""

import threading
import time
from collections import deque
from collections.abc import Callable

import pytest

from blocks.source import endpoints, request_budget
from blocks.source.request_budget import KeptBack, RequestBudget
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.faulty_proxy import Meddler, Reply
from tests.blocks.sync_runner import assert_holds, sync, wait_until


class Limit:
    """At most `requests` in `seconds`; the others are refused with `status`."""

    def __init__(self, requests: int, seconds: float, status: int, headers: dict[str, str] | None = None) -> None:
        self._requests, self._seconds = requests, seconds
        self._refusal = Reply(status, b"too many", headers or {})
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self.refused = 0

    def __call__(self, question: str, ask: Callable[[], Reply]) -> Reply:
        with self._lock:
            now = time.monotonic()
            while self._times and self._times[0] < now - self._seconds:
                self._times.popleft()
            if len(self._times) >= self._requests:
                self.refused += 1
                return self._refusal
            self._times.append(now)
        return ask()


@pytest.mark.indexer
@pytest.mark.db
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("status", "headers"), [(429, {}), (429, {"Retry-After": "1"}), (503, {})])
def test_several_connections_behind_a_limit_store_everything(
    short: Recording, status: int, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A window takes more requests than the limit gives at once, so that without keeping anything none would end."""
    monkeypatch.setattr(request_budget, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(endpoints, "FIRST_PAUSE", 0.1)
    limit = Limit(12, 0.5, status, headers)
    with ReplaySource(short) as source, Meddler(limit, source.url) as proxy:
        sync(proxy.url, connections=4, window_blocks=60, window_transactions=4, seconds=40)
    assert limit.refused > 0, "the limit was never reached: the test shows nothing"
    assert_holds(short)


@pytest.fixture
def budget() -> RequestBudget:
    return RequestBudget(8)


def test_each_refusal_halves_what_is_allowed_at_once_down_to_one(budget: RequestBudget) -> None:
    allowed = []
    for _ in range(5):
        budget.refused(0.0)
        allowed.append(budget.allowed)
    assert allowed == [4, 2, 1, 1, 1]


def test_requests_that_are_refused_together_count_once(budget: RequestBudget) -> None:
    for _ in range(8):
        budget.refused(5.0)
    assert budget.allowed == 4


def test_answers_bring_the_requests_back_one_by_one(budget: RequestBudget) -> None:
    for _ in range(5):
        budget.refused(0.0)
    before = budget.allowed
    for _ in range(request_budget.CALM + 1):
        budget.answered()
    assert budget.allowed == before + 1
    for _ in range(1000):
        budget.answered()
    assert budget.allowed == 8


def test_without_a_time_from_the_server_the_pauses_grow(budget: RequestBudget, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pauses = []
    for _ in range(6):
        pauses.append(budget.refused(None))
        now[0] += 100
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert budget.refused(30.0) == 30.0


def test_a_request_does_not_wait_for_an_hour(budget: RequestBudget) -> None:
    """A thread that did would be missing for other endpoints."""
    budget.refused(3600.0)
    with pytest.raises(KeptBack) as kept, budget.request(time.monotonic() + 20.0):
        pytest.fail("the endpoint is asked although it said to leave it alone")
    assert 3590 < kept.value.seconds <= 3600


def test_no_more_than_allowed_run_at_once(budget: RequestBudget) -> None:
    budget.refused(0.0)
    running, most = [0], [0]
    lock, leave = threading.Lock(), threading.Event()

    def request() -> None:
        with budget.request():
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            leave.wait(10)
            with lock:
                running[0] -= 1

    threads = [threading.Thread(target=request, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: running[0] == 4)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert most[0] == 4
