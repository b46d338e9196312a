"""A whole list is of one snapshot, which is closed when the list is sent, and when its client leaves."""

import pytest
from django.db import connection
from django.test import Client

from balances.api.responses import export
from tests.balances.api.export_client import HISTORY, leave, parts_of, rows_of, start
from tests.balances.api.test_snapshots import elsewhere
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]


def test_what_commits_while_a_list_is_sent_is_not_in_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = fill_database("gnotest-1", last=60)
    monkeypatch.setattr(export, "PAGE", 20)
    before = rows_of(start(client, order="asc").getvalue())
    response = start(client, order="asc")
    parts = parts_of(response)
    sent = rows_of(next(parts)) + rows_of(next(parts))
    elsewhere(lambda: store_heights(recording, 61, 300))
    elsewhere(apply_pending)
    sent += [row for part in parts for row in rows_of(part)]
    leave(response)
    assert sent == before
    assert not connection.in_atomic_block
    assert len(rows_of(start(client).getvalue())) > len(before)


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_client_that_leaves_closes_the_snapshot(client: Client, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    fill_database("gnotest-1", last=60)
    monkeypatch.setattr(export, "PAGE", 20)
    response = start(client)
    parts = parts_of(response)
    for _ in range(taken):
        next(parts)
    assert connection.in_atomic_block
    leave(response)
    assert not connection.in_atomic_block


def test_a_head_request_opens_nothing(client: Client) -> None:
    fill_database("gnotest-1", last=60)
    response = client.head(HISTORY, {"format": "csv"})
    assert (response.status_code, response["X-Indexed-Height"], response.content) == (200, "60", b"")
    assert not connection.in_atomic_block
