"""The past may be corrected; then a listener is told, whether it was there or comes back later."""

import pytest

from balances.models import Transfer
from blocks import gaps
from blocks.store import begin_generation
from tests.balances.stream.conftest import START
from tests.balances.stream.expected_events import known, places, wanted
from tests.balances.stream.stream_server import Server
from tests.chains import apply_pending, store_heights
from tests.conftest import recorded

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.db, pytest.mark.api]


def test_whoever_listens_is_told_at_once(server: Server) -> None:
    listeners = [server.listen(), server.listen(fromHeight=START + 10), server.listen(token="gno.land/r/none")]
    for client in listeners:
        client.take("progress")
    begin_generation()
    server.look()
    for client, height in zip(listeners, (START, START + 9, START), strict=True):
        event = client.take("corrected")
        assert (event.id, event.data["generation"], event.data["indexedHeight"]) == (f"{height}@1", 1, START)
    server.settle(START)
    for client in listeners:
        assert client.until_beat() == [], "told once"


def test_transfers_go_on_after_a_correction_and_have_its_number(server: Server) -> None:
    client = server.listen()
    client.take("progress")
    begin_generation()
    store_heights(recorded("gnotest-1"), START + 1, 50)
    apply_pending()
    assert client.take("corrected").id == f"{START}@1"
    server.settle(50)
    events = client.until_beat()
    assert places(events) == wanted(known(START + 1))
    assert {event.id.split("@")[1] for event in events} == {"1"}


def after(place: str) -> list[str]:
    """What follows a place, given as a transfer's or as a whole height."""
    before = wanted(known(last=int(place.split("-")[0])))
    return wanted(known())[before.index(place) + 1 if place in before else len(before) :]


def test_whoever_comes_back_with_an_older_id_is_told_first(server: Server) -> None:
    begin_generation()
    server.look()
    for place in ("12", str(START), "20-0-0"):
        client = server.listen(f"{place}@0")
        assert client.take("progress").id == f"{place}@0"
        event = client.take("corrected")
        assert event.id == f"{place}@1"
        again = server.listen(event.id)
        again.take("progress")
        server.settle(START)
        assert places(client.until_beat()) == after(place)
        assert places(again.until_beat()) == after(place), "nothing was corrected since"


def test_an_id_without_a_generation_knows_of_no_correction(server: Server) -> None:
    """As one makes it oneself, of a transfer or of a height."""
    begin_generation()
    server.look()
    for place in ("12", "20-0-0"):
        client = server.listen(place)
        assert client.take("progress").id == f"{place}@1"
        server.settle(START)
        assert places(client.until_beat()) == after(place)


def test_heights_that_are_read_again_are_told_of_when_they_are_in(server: Server) -> None:
    """Until then the index is lower than what was sent, and the lists do not have what is corrected."""
    listening = server.listen()
    listening.take("progress")
    gaps.uncover([20])
    Transfer.objects.filter(block_height=20).delete()
    server.look()
    assert server.do(lambda: server.stream.hub.indexed_height.height) == 19
    begun_before = server.listen(f"{START}@0")
    begun_now = server.listen()
    assert begun_now.take("progress").id == "19@1"
    begun_before.take("progress")
    store_heights(recorded("gnotest-1"), 20, 20)
    apply_pending()
    for client in (listening, begun_before):
        event = client.take("corrected")
        assert (event.id, event.data["indexedHeight"]) == (f"{START}@1", START)
    server.settle(START)
    assert places(begun_now.until_beat()) == wanted(known(20))
    for client in (listening, begun_before):
        assert client.until_beat() == []
