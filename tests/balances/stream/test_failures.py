"""Listeners that are slow, or gone; a database that goes away; and silence."""

from collections.abc import Iterator
from itertools import islice

import pytest
from django.db import connection

from balances.stream import delivery, follower
from balances.stream import server as serving_at
from balances.stream import subscriber as listeners
from balances.stream.event_ids import end_of
from blocks.store import begin_generation
from postgres.connections import connect
from tests.balances.stream.conftest import START
from tests.balances.stream.expected_events import known, places, wanted
from tests.balances.stream.stream_server import Server, serving
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded
from tests.polling import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

TIP = 485


def go_on(last: int) -> None:
    store_heights(recorded("gnotest-1"), START + 1, last)
    apply_pending()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that keeps so little for a listener that the rest of the chain does not fit in."""
    monkeypatch.setattr(serving_at, "SEND_BUFFER_BYTES", 4096)
    monkeypatch.setattr(listeners, "BUFFER_BYTES", 20_000)
    fill_database("gnotest-1", last=START)
    with serving() as running:
        yield running


def test_who_reads_slowly_delays_nobody_costs_little_and_misses_nothing(narrow: Server) -> None:
    slow, quick = narrow.listen(), narrow.listen(address="", token="gno.land/r/gnoland/wugnot")
    quick.take("progress")
    until(lambda: narrow.do(len, narrow.stream.hub) == 2, "both listening")
    go_on(TIP)
    until(lambda: narrow.do(lambda: narrow.stream.hub.head) == end_of(TIP), "the tip")
    rows = known(START + 1)
    mine = wanted(rows, tokens=["gno.land/r/gnoland/wugnot"])
    assert places(list(islice(quick.events, len(mine)))) == mine
    assert narrow.do(len, narrow.stream.hub) == 1, "the slow one is still brought what is new"
    slow.take("progress")
    assert places(list(islice(slow.events, len(rows)))) == wanted(rows)
    narrow.settle(TIP)
    assert slow.until_beat() == []


def test_who_is_gone_is_forgotten(server: Server) -> None:
    here, gone = server.listen(), server.listen()
    until(lambda: server.do(len, server.stream.hub) == 2, "both listening")
    gone.close()
    until(lambda: server.do(len, server.stream) == 1, "the other forgotten")
    assert server.do(len, server.stream.hub) == 1
    here.take("progress")
    go_on(START + 1)
    here.take("transfer")


def test_who_takes_nothing_for_long_is_given_up(monkeypatch: pytest.MonkeyPatch, narrow: Server) -> None:
    monkeypatch.setattr(serving_at, "DEAD_MILLISECONDS", 200)
    go_on(TIP)
    with serving() as server:
        client = server.listen(fromHeight=0)
        until(lambda: server.do(len, server.stream) == 0, "it given up")
        with pytest.raises(ConnectionError):
            list(client.events)


def end_connections() -> int:
    """As when the database is restarted: every connection but this one is cut."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
        return count


def test_a_database_that_was_restarted_is_no_gap(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.01)
    client, old = server.listen(), server.listen(fromHeight=0)
    server.settle(START)
    for each, first in ((client, START + 1), (old, 0)):
        each.take("progress")
        assert places(each.until_beat()) == wanted(known(first))
    assert end_connections() >= 3, "those that listen, that follow and that read what is old"
    go_on(40)
    end_connections()
    late = server.listen(f"{START - 5}@0")
    server.settle(40)
    late.take("progress")
    for each, first in ((client, START + 1), (old, START + 1), (late, START - 4)):
        assert places(each.until_beat()) == wanted(known(first))


def test_while_the_database_is_away_nobody_is_sent_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, server: Server
) -> None:
    monkeypatch.setattr(follower, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(delivery, "RETRY_SECONDS", 0.01)
    client = server.listen()
    name = connection.settings_dict["NAME"]
    with connect(dbname="postgres") as other:  # nobody can shut the door behind himself
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            end_connections()
            came = server.listen(f"{START - 5}@0")
            came.take("progress")
            until(lambda: "waits for the database" in caplog.text, "the trouble")
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    client.take("progress")
    go_on(40)
    server.settle(40)
    assert places(client.until_beat()) == wanted(known(START + 1))
    assert places(came.until_beat()) == wanted(known(START - 4))
    assert caplog.text.count("Stream waits for the database") == 1, "said once, however long it takes"


def test_a_sign_of_life_tells_what_is_new_and_nothing_otherwise(server: Server) -> None:
    client = server.listen(token="gno.land/r/none")
    client.take("progress")
    server.settle(START)
    assert next(client.events).name == ""
    go_on(40)
    server.settle(40)
    event = client.take("progress")
    assert (event.id, event.data["indexedHeight"]) == ("40@0", 40), "resumed from here, nothing is read again"
    server.do(server.stream.hub.beat)
    assert next(client.events).name == ""


def test_nobody_waits_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(serving_at, "BEAT_SECONDS", 0.01)
    fill_database("gnotest-1", last=START)
    with serving() as server:
        live, ahead = server.listen(), server.listen(fromHeight=1000)
        begin_generation()
        behind = server.listen("1000@0")  # what it knows was corrected: it is told when that is in
        for client in (live, ahead, behind):
            client.take("progress")
            assert {next(client.events).name for _ in range(5)} <= {"", "progress", "corrected"}
