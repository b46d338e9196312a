"""Bringing what is new: to whom it is, whatever else there is, and to nobody twice."""

from typing import Any

import pytest

from balances.indexed_height import IndexedHeight
from balances.stream import subscriber as listeners
from balances.stream.event_ids import Position, end_of
from balances.stream.hub import Hub
from balances.stream.pages import Page, Transfer
from balances.stream.subscriber import Listener
from balances.stream.subscription import Filters

A, B, C = "g1a", "g1b", "g1c"
T, U = "gno.land/r/t", "gno.land/r/u"


def indexed_height(height: int, generation: int = 0) -> IndexedHeight:
    return IndexedHeight("c-1", height, height, height, height, generation=generation)


def moved(height: int, sender: str, recipient: str, token: str, event: int = 0) -> Transfer:
    body = {"fromAddress": sender, "toAddress": recipient, "tokenPath": token, "amount": height}
    return Transfer(Position(height, 0, event), body, frozenset([token]))


def page(*transfers: Transfer, height: int) -> Page:
    return Page(list(transfers), end_of(height), False, indexed_height(height))


def joined(hub: Hub, addresses: str = "", tokens: str = "", *, at: int = 10) -> Listener:
    wanted = Filters(frozenset(addresses.split()), frozenset(tokens.split()))
    listener = Listener(wanted, end_of(at), 0)
    assert hub.joins(listener)
    return listener


def places(listener: Listener) -> list[str]:
    return [line[4:].split("@")[0] for line in listener.take().decode().splitlines() if line.startswith("id: ")]


@pytest.fixture
def hub() -> Hub:
    return Hub(indexed_height(10))


PAGE = page(
    moved(11, "", A, T), moved(12, A, B, U), moved(12, A, A, T, 1), moved(13, B, C, T), moved(14, C, "", U), height=15
)


@pytest.mark.parametrize(
    ("addresses", "tokens", "expected"),
    [
        ("", "", ["11-0-0", "12-0-0", "12-0-1", "13-0-0", "14-0-0"]),
        (A, "", ["11-0-0", "12-0-0", "12-0-1"]),
        (f"{A} {C}", "", ["11-0-0", "12-0-0", "12-0-1", "13-0-0", "14-0-0"]),
        ("", T, ["11-0-0", "12-0-1", "13-0-0"]),
        ("", f"{T} {U}", ["11-0-0", "12-0-0", "12-0-1", "13-0-0", "14-0-0"]),
        (A, U, ["12-0-0"]),
        (f"{B} {C}", U, ["12-0-0", "14-0-0"]),
        ("g1z", T, []),
    ],
)
def test_each_gets_what_it_wants_once(hub: Hub, addresses: str, tokens: str, expected: list[str]) -> None:
    listener = joined(hub, addresses, tokens)
    hub.bring(PAGE, frozenset([T, U]))
    assert places(listener) == expected
    assert listener.position == (end_of(15) if expected else end_of(10))


class Asleep(Listener):
    """Whoever touches it wakes it."""

    asleep = False

    def __getattribute__(self, name: str) -> Any:
        assert not object.__getattribute__(self, "asleep"), f"{name} of a listener that wants nothing of this"
        return super().__getattribute__(name)


def test_who_wants_nothing_of_it_is_not_touched(hub: Hub) -> None:
    """So a batch costs what is in it and who wants it, not how many listen."""
    others = [Asleep(Filters(frozenset([f"g1other{number}"])), end_of(10), 0) for number in range(50)]
    others += [Asleep(Filters(tokens=frozenset([f"gno.land/r/other{number}"])), end_of(10), 0) for number in range(50)]
    assert all(map(hub.joins, others))
    listener, spellings = joined(hub, A), hub.spellings
    for other in others:
        other.asleep = True
    hub.bring(PAGE, spellings | {T, U})
    assert len(places(listener)) == 3


def test_who_is_ahead_of_the_head_gets_what_follows_itself(hub: Hub) -> None:
    for wanted in ("", f"{A} {B} {C}"):
        assert hub.joins(ahead := Listener(Filters(frozenset(wanted.split())), Position(12, 0, 0), 0))
        hub.bring(PAGE, frozenset())
        assert places(ahead) == ["12-0-1", "13-0-0", "14-0-0"]
        hub = Hub(indexed_height(10))


def test_who_lacks_something_does_not_join(hub: Hub) -> None:
    assert not hub.joins(Listener(Filters(), Position(10, 7, 7), 0))
    assert not hub.joins(Listener(Filters(), end_of(10), 1))
    assert len(hub) == 0


def test_who_came_while_the_page_was_read_and_asks_for_what_it_does_not_tell_is_let_go(hub: Hub) -> None:
    """It reads by itself from where it is, and is back."""
    known, late, neither = joined(hub, tokens=T), joined(hub, tokens=f"{T} {U}"), joined(hub, A)
    hub.bring(PAGE, frozenset([T]))
    assert (known.live, late.live, neither.live) == (True, False, True)
    assert late.woken.is_set()
    assert (late.position, late.take()) == (end_of(10), b"")
    assert len(places(known)) == 3


def test_who_does_not_take_what_waits_is_let_go_and_is_where_it_was(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    monkeypatch.setattr(listeners, "BUFFER_BYTES", 600)
    slow, quick = joined(hub), joined(hub, A)
    hub.bring(page(moved(11, "", A, T), height=11), frozenset())
    assert places(slow) == places(quick) == ["11-0-0"]
    for height in range(12, 20):
        hub.bring(page(moved(height, "", A, T), height=height), frozenset())
        assert places(quick) == [f"{height}-0-0"]
    assert (slow.live, slow.position, slow.take()) == (False, end_of(11), b"")
    assert len(hub) == 1


def test_a_correction_that_was_not_taken_was_not_told(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    told, full, dropped = joined(hub), joined(hub, A), joined(hub, B)
    monkeypatch.setattr(listeners, "BUFFER_BYTES", 250)
    hub.bring(page(moved(11, "", A, T), moved(11, "", A, T, 1), height=11), frozenset())
    told.take()
    hub.bring(Page([], hub.head, False, indexed_height(11, generation=1)), frozenset())
    assert b"event: corrected" in told.take()
    assert (told.generation, full.generation, dropped.generation) == (1, 0, 0)
    assert (full.live, dropped.live) == (False, True)
    hub.leave(dropped)
    assert (dropped.take(), dropped.generation) == (b"", 0), "it is told when it comes again"


def test_who_leaves_leaves_nothing_behind(hub: Hub) -> None:
    everybody = [joined(hub), joined(hub, f"{A} {B}"), joined(hub, tokens=T), joined(hub, A, T)]
    assert hub.spellings == {T}
    for listener in everybody:
        hub.leave(listener)
        hub.leave(listener)
    assert (len(hub), hub.spellings, dict(hub._by_address)) == (0, frozenset(), {})
    hub.bring(PAGE, frozenset())
    assert not any(map(places, everybody))


def test_a_fall_of_the_index_takes_nothing_back(hub: Hub) -> None:
    listener = joined(hub)
    hub.bring(Page([], hub.head, False, indexed_height(7, generation=1)), frozenset())
    assert (hub.head, hub.indexed_height.height, listener.take()) == (end_of(10), 7, b"")
    hub.bring(Page([], hub.head, False, indexed_height(10, generation=1)), frozenset())
    assert b"event: corrected" in listener.take()
