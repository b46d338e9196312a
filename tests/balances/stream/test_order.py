"""No gaps and no repeats: what a listener is sent, from wherever it begins, however often it is cut off."""

import threading
from itertools import islice

import pytest
from django.db import transaction
from django.test import Client as ApiClient

from balances.indexed_height import IndexedHeight, ring
from balances.ledger.apply import apply
from balances.snapshot import snapshot
from balances.stream import follower, pages
from balances.stream.event_ids import end_of
from events.models import OutboxMessage
from events.outbox import store
from events.outbox.message import decode
from tests.balances.api.client import Api
from tests.balances.stream.conftest import START
from tests.balances.stream.expected_events import known, places, wanted
from tests.balances.stream.stream_server import PATIENCE, Event, Server, serving
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]

TIP = 485


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_ROWS", 7)


def go_on(first: int, last: int) -> None:
    """Store and apply heights of the chain."""
    store_heights(recorded("gnotest-1"), first, last)
    apply_pending()


@pytest.mark.usefixtures("_small_pages")
def test_from_the_beginning_it_is_every_transfer_as_the_list_has_it(server: Server) -> None:
    client = server.listen(fromHeight=0)
    client.take("progress")
    sent = [event.data for event in islice(client.events, len(known()))]
    assert sent == list(reversed(Api(ApiClient()).rows("/tokens/transfer-history", limit=1000)))
    text = server.listen(fromHeight=0, amounts="string")
    text.take("progress")
    assert [event.data for event in islice(text.events, len(sent))] == [
        row | {"amount": str(row["amount"])} for row in sent
    ]


def test_a_new_listener_begins_at_the_present_or_at_a_height_still_to_come(server: Server) -> None:
    present, later = server.listen(), server.listen(fromHeight=40)
    assert present.take("progress").id == f"{START}@0"
    assert later.take("progress").id == "39@0"
    go_on(START + 1, 50)
    server.settle(50)
    assert places(present.until_beat()) == wanted(known(START + 1))
    assert places(later.until_beat()) == wanted(known(40))


@pytest.mark.usefixtures("_small_pages")
def test_resumed_after_each_position_it_is_exactly_the_rest(server: Server) -> None:
    """Also while the chain goes on: half of them come back before it does, and half after."""
    early = {place: server.listen(f"{place}@0") for place in wanted(known(23))[::2]}
    go_on(START + 1, 28)
    everything = wanted(known())
    late = {place: server.listen(f"{place}@0") for place in wanted(known(23))[1::2]}
    whole = {height: server.listen(lastEventId=f"{height}@0") for height in range(-1, 28, 9)}
    server.settle(28)
    for place, client in (early | late).items():
        assert client.take("progress").id == f"{place}@0"
        assert places(client.until_beat()) == everything[everything.index(place) + 1 :]
    for height, client in whole.items():
        client.take("progress")
        assert places(client.until_beat()) == wanted(known(height + 1))


@pytest.mark.usefixtures("_small_pages")
def test_cut_off_after_each_event_and_resumed_it_is_everything_once(server: Server) -> None:
    """What a browser does: the id of the last event it saw, whatever event that was."""
    go_on(START + 1, 28)
    everything = wanted(known(20))
    seen, last_id = list[Event](), "19@0"
    while len(seen) < len(everything):
        client = server.listen(last_id)
        last_id = client.take("progress").id
        for event in islice(client.events, min(1 + len(seen) % 3, len(everything) - len(seen))):
            seen.append(event)
            last_id = event.id
        client.close()
    assert places(seen) == everything


def test_what_is_applied_out_of_order_is_sent_in_order(server: Server) -> None:
    """Windows are applied in parallel: the later ones first. None is sent before what is below it is in."""
    client = server.listen()
    client.take("progress")
    for first in (42, 34, 26):
        store_heights(recorded("gnotest-1"), first, first + 7)
    pending = list(OutboxMessage.objects.filter(applied_at=None).order_by("first_height"))
    assert len(pending) == 3
    for number, indexed in ((2, START), (0, pending[1].first_height - 1), (1, 49)):
        with transaction.atomic():
            apply([decode(pending[number].body, "gnotest-1")])
            store.mark_applied([pending[number].id])
        server.look()
        assert server.do(lambda: server.stream.hub.head) == end_of(indexed)
    server.settle(49)
    assert places(client.until_beat()) == wanted(known(START + 1))


def test_a_window_above_a_gap_waits_for_the_gap(server: Server) -> None:
    client = server.listen()
    client.take("progress")
    store_heights(recorded("gnotest-1"), 35, 50)
    apply_pending()
    store_heights(recorded("gnotest-1"), 26, 34)
    apply_pending()
    server.settle(50)
    assert places(client.until_beat()) == wanted(known(START + 1))


@pytest.mark.usefixtures("_small_pages")
def test_who_applies_wakes_the_stream(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """Without the bell it would look for news once in an hour."""
    monkeypatch.setattr(follower, "LOOK_SECONDS", 3600.0)
    ring()  # it waits for an hour from now on
    client = server.listen()
    client.take("progress")
    go_on(START + 1, START + 9)
    rows = known(START + 1)
    assert places(list(islice(client.events, len(rows)))) == wanted(rows)


def test_who_comes_while_the_stream_looks_for_nobody_misses_nothing(
    monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Nobody was there when it began to look, and so it reads no transfers; who comes before it is done needs them."""
    looks, come = threading.Event(), threading.Event()

    def look() -> IndexedHeight:
        looks.set()
        assert come.wait(PATIENCE)
        with snapshot() as seen:
            return seen.indexed_height

    monkeypatch.setattr(pages, "look", look)
    assert looks.wait(PATIENCE)
    client = server.listen()
    assert client.take("progress").id == f"{START}@0"
    go_on(START + 1, START + 5)
    come.set()
    server.settle(START + 5)
    assert places(client.until_beat()) == wanted(known(START + 1))


def test_over_the_older_format_too() -> None:
    fill_database("test5-1", last=100)
    with serving() as server:
        client = server.listen(fromHeight=0)
        client.take("progress")
        server.settle(100)
        assert places(client.until_beat()) == wanted(known())


def test_while_nobody_listens_nothing_is_read(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """A backfill costs the stream nothing but looking where the index is."""

    def refuse(*arguments: object) -> None:
        raise AssertionError("transfers are read for nobody")

    monkeypatch.setattr(pages, "transfers", refuse)
    go_on(START + 1, 50)
    server.settle(50)
