"""The walker beside a processor: what it leaves to whoever applies, and how it takes trouble."""

import random
import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError

from balances.checkpoint_worker import BACKLOG, PAUSE_SECONDS, Walker
from balances.history import checkpoints
from balances.models import CheckpointWalk
from tests.balances.history_factories import zipf_rows
from tests.balances.ledger_factories import apply_all, put, start_chain
from tests.events.factories import put_messages

pytestmark = [pytest.mark.django_db, pytest.mark.db]


@pytest.fixture
def each_step_takes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_seconds(seconds: float) -> None:
        clock = iter(range(1_000))
        monkeypatch.setattr("balances.checkpoint_worker.time.monotonic", lambda: seconds * next(clock))

    return set_seconds


def history(last: int) -> None:
    start_chain([(0, last)])
    put(zipf_rows(random.Random(last), 0, last))
    apply_all()


def test_it_walks_to_the_end_and_then_pauses(each_step_takes: Callable[[float], None]) -> None:
    history(30)
    each_step_takes(2.0)
    one = Walker(threading.Event())
    assert one._walk() == 2.0, "half of the time is for others"
    while (pause := one._walk()) != PAUSE_SECONDS:
        assert pause == 2.0
    assert CheckpointWalk.objects.get().height == 30


def test_a_backlog_has_precedence(each_step_takes: Callable[[float], None]) -> None:
    history(30)
    put_messages(BACKLOG, first_height=31)
    each_step_takes(2.0)
    assert Walker(threading.Event())._walk() == pytest.approx(18.0)


def test_finish_does_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "BATCH", 10)
    history(30)
    stopped = threading.Event()
    stopped.set()
    Walker(stopped).finish()
    assert not CheckpointWalk.objects.exists()
    Walker(threading.Event()).finish()
    assert CheckpointWalk.objects.get().height == 30


def test_a_database_that_is_away_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("balances.checkpoint_worker.renew", lambda: None)  # the test's own connection
    away = [True, True, False]

    def step(most: int | None) -> bool:
        if away.pop(0):
            raise OperationalError("the server closed the connection")
        return False

    monkeypatch.setattr(checkpoints, "step", step)
    one = Walker(threading.Event())
    with caplog.at_level("INFO"):
        assert [one._walk() for _ in range(3)] == [PAUSE_SECONDS] * 3
    assert [record.message.split(" error=")[0] for record in caplog.records] == [
        "Checkpoints wait",
        "Checkpoints go on",
    ]
