"""One answer, one snapshot: what commits while an answer is made is not in it."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InternalError, connection, transaction
from django.test import Client

from balances import snapshot
from balances.api.responses import min_height
from balances.models import Account
from balances.snapshot import snapshot as open_snapshot
from tests.balances.api.client import LISTS, Api
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]


def elsewhere(work: Any) -> None:
    """Do `work` on a connection of its own, and wait for it."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


@pytest.mark.parametrize("path", LISTS)
def test_rows_and_heights_of_an_answer_are_of_one_moment(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    recording = fill_database("gnotest-1", last=60)
    before = client.get(path)
    read = snapshot.look

    def read_and_let_others_write() -> Any:
        seen = read()
        elsewhere(lambda: store_heights(recording, 61, 300))
        elsewhere(apply_pending)
        return seen

    monkeypatch.setattr(snapshot, "look", read_and_let_others_write)
    during = client.get(path)
    monkeypatch.undo()
    after = client.get(path)
    assert during.json() == before.json()
    assert during["ETag"] == before["ETag"]
    assert after.json() != before.json()
    assert after.json()["indexedHeight"] == 300


def test_an_answer_cannot_write(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InternalError, match="read-only"), open_snapshot():
        Account.objects.create(address="x")
    assert not Account.objects.exists()
    with transaction.atomic():
        Account.objects.create(address="x")  # and the connection is as it was


def test_an_open_transaction_is_read_as_it_is() -> None:
    with transaction.atomic(), open_snapshot() as seen:
        assert seen.indexed_height.height == -1


def test_nothing_is_held_while_an_answer_waits_for_its_height(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_database("gnotest-1", last=50)
    closed: list[str] = []
    pooled = SimpleNamespace(
        settings_dict={"OPTIONS": {"pool": {"max_size": 2}}},
        in_atomic_block=False,
        close=lambda: closed.append("to the pool"),
    )
    monkeypatch.setattr(min_height, "connection", pooled)

    slept: list[float] = []

    def sleep(seconds: float) -> None:
        assert not connection.in_atomic_block
        assert len(closed) > len(slept), "given back to the pool before each sleep"
        slept.append(seconds)

    monkeypatch.setattr(min_height, "time", SimpleNamespace(monotonic=lambda: sum(slept), sleep=sleep))
    api.problem("/tokens", 409, minHeight=51)
    assert len(slept) > 10
