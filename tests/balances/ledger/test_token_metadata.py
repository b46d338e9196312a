"""What tokens are called: the first announcement in chain order, whenever it arrives; a second one is doubt."""

import itertools
from typing import Any

import pytest

from balances.ledger.apply import apply
from balances.models import Announcement, Token
from events.outbox.message import Message, Packer, decode
from tests.events.factories import CHAIN, TOKEN

pytestmark = [pytest.mark.db, pytest.mark.django_db]

FIRST = (3, 0, 1, TOKEN, "Foo", "FOO", 4)
SECOND = (3, 0, 5, TOKEN, "Fake Foo", "FOO", 6)
THIRD = (7, 2, 0, TOKEN, "", "", 0)


def message(*rows: Any) -> Message:
    packer = Packer(CHAIN, 262_144)
    for row in rows:
        packer.add_announcement(*row)
    (packed,) = packer.messages()
    return decode(packed.body(1), CHAIN)


def named() -> tuple[str, str, int | None, int]:
    token = Token.objects.get(path=TOKEN)
    return token.name, token.symbol, token.decimals, token.announcements


def test_an_announcement_names_the_token() -> None:
    apply([message(FIRST)])
    assert named() == ("Foo", "FOO", 4, 1)
    assert Token.objects.get().realm == "gno.land/r/demo/foo20"


@pytest.mark.parametrize("order", [*itertools.permutations([FIRST, SECOND, THIRD])], ids=str)
def test_the_first_in_the_chain_names_the_token_whatever_the_order_of_arrival(order: Any) -> None:
    for row in order:
        apply([message(row)])
    assert named() == ("Foo", "FOO", 4, 3)


@pytest.mark.parametrize("order", [*itertools.permutations([FIRST, SECOND, THIRD])], ids=str)
def test_the_same_holds_within_one_batch(order: Any) -> None:
    apply([message(row) for row in order])
    assert named() == ("Foo", "FOO", 4, 3)


def test_an_announcement_delivered_twice_is_one() -> None:
    for _ in range(2):
        apply([message(FIRST), message(FIRST)])
    assert named() == ("Foo", "FOO", 4, 1)


def test_a_second_announcement_marks_the_token_and_is_kept() -> None:
    apply([message(FIRST)])
    apply([message(SECOND)])
    assert named() == ("Foo", "FOO", 4, 2)
    assert list(Announcement.objects.order_by("event_index").values_list("name", flat=True)) == ["Foo", "Fake Foo"]


def test_a_name_is_kept_to_the_letter() -> None:
    name = 'Silver "☾" <b>\u202e\\N'
    apply([message((1, 0, 0, TOKEN, name, "S", 18))])
    assert named()[0] == name


def test_other_tokens_are_left_alone() -> None:
    apply([message(FIRST, (3, 0, 2, TOKEN.lower(), "other", "foo", 1))])
    assert named() == ("Foo", "FOO", 4, 1)
