"""The generation counts what may change the past: heights that were in, or counted as in, and are stored again."""

import pytest

from blocks import gaps, store
from blocks.models import Chain
from blocks.spans import Span

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def generation() -> int:
    return Chain.objects.get().generation


@pytest.fixture(autouse=True)
def _chain() -> None:
    Chain.objects.create(chain_id="c-1", coverage=[(0, 9), (15, 20)], tip=30)


def test_new_heights_begin_none() -> None:
    store.cover([Span(10, 10), Span(21, 25)], None)
    assert generation() == 0


@pytest.mark.parametrize("span", [Span(9, 12), Span(20, 25), Span(3, 3), Span(0, 30)])
def test_heights_that_are_stored_again_begin_one(span: Span) -> None:
    store.cover([Span(26, 27), span], None)
    assert generation() == 1


def test_an_accepted_gap_begins_one_when_it_is_revoked_and_when_it_is_stored_after_all() -> None:
    gaps.accept(Span(10, 12), "lost")
    assert generation() == 0
    assert gaps.revoke(Span(10, 11)) == 0
    assert generation() == 0
    store.cover([Span(12, 13)], None)
    assert generation() == 1
    assert gaps.revoke(Span(10, 12)) == 1
    assert generation() == 2
    store.cover([Span(10, 11)], None)
    assert generation() == 2


@pytest.mark.parametrize(("proven", "begun"), [(False, 1), (True, 0)])
def test_genesis_that_no_endpoint_had_begins_one_when_it_comes(proven: bool, begun: int) -> None:
    """Where the first height is not proven, genesis counted as in."""
    Chain.objects.update(coverage=[(15, 20)], first_height=15, first_height_proven=proven)
    store.cover([Span(0, 0)], None)
    assert generation() == begun


def test_heights_that_are_to_be_read_again_begin_one() -> None:
    gaps.uncover([3, 4])
    assert generation() == 1
    store.cover([Span(3, 4)], None)
    assert generation() == 1
