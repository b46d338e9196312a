"""Reparsing heights that count as complete and whose rows are gone: holes are not empty blocks."""

from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import F
from pytest_django import Settings

from balances.indexed_height import read_indexed_height
from balances.models import Transfer
from blocks import gaps
from blocks.incomplete_blocks import contains, holes
from blocks.models import Block, Chain, Transaction
from blocks.spans import Span
from events.models import OutboxMessage
from events.outbox import store
from events.outbox.message import decode, within
from indexer_project import reparse as reparse_module
from tests.balances.ledger_factories import expect_conserved
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded
from tests.indexer_project.ledger_dump import expect_the_chains_own, ledger

pytestmark = [pytest.mark.db, pytest.mark.django_db]

NAME, TIP = "gnotest-1", 485
HOLES = [(117, 118), (133, 133), (135, 137)]


def reparse(*arguments: str) -> str:
    out = StringIO()
    call_command("reparse", *arguments, "--patience", "1", stdout=out)
    return out.getvalue()


def at(first: int, last: int) -> dict[str, int]:
    return {"block_height__gte": first, "block_height__lte": last}


def delete_transactions(first: int, last: int) -> None:
    Transaction.objects.filter(**at(first, last)).delete()


def delete_some_transactions(first: int, last: int) -> None:
    Transaction.objects.filter(**at(first, last), index=0).delete()


def delete_blocks(first: int, last: int) -> None:
    Block.objects.filter(height__range=(first, last)).delete()


def delete_both(first: int, last: int) -> None:
    delete_blocks(first, last)
    delete_transactions(first, last)


def move_transactions_up(first: int, last: int) -> None:
    Transaction.objects.filter(**at(first, last)).update(index=F("index") + 1000)


def move_transactions_down(first: int, last: int) -> None:
    Transaction.objects.filter(**at(first, last)).update(index=-1 - F("index"))


EVERY_WAY = [
    delete_transactions,
    delete_some_transactions,
    delete_blocks,
    delete_both,
    move_transactions_up,
    move_transactions_down,
]


@pytest.mark.parametrize("damage", EVERY_WAY)
def test_heights_whose_rows_are_gone_keep_their_transfers_and_are_read_again(
    damage: Callable[[int, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reparse_module, "BATCH_HEIGHTS", 90)
    fill_database(NAME)
    before = ledger()
    for hole in HOLES:
        damage(*hole)
    assert holes(0, TIP) == [Span(*hole) for hole in HOLES]
    faulty = {fault.height for fault in gaps.find_faults() if "follow" not in fault.reason}
    if damage is not move_transactions_down:
        assert faulty == {height for first, last in HOLES for height in range(first, last + 1)}, (
            "findgaps says the same"
        )
    told = reparse("--dry-run")
    assert "6 heights whose rows are gone would be missing" in told
    assert Chain.objects.get().coverage == [(0, TIP)]
    told = reparse()
    assert "heights 135 to 137: their block or transactions are not stored any more" in told
    assert "6 heights whose rows are gone are missing from now on" in told.splitlines()[-1]
    assert ledger() == before
    assert Chain.objects.get().coverage == [(0, 116), (119, 132), (134, 134), (138, TIP)]
    assert read_indexed_height().height == 116, "nothing is claimed of a hole"
    for hole in HOLES:
        store_heights(recorded(NAME), *hole)
    apply_pending()
    assert ledger() == before
    assert reparse().startswith("0 of ")
    assert read_indexed_height().height == TIP


def test_what_is_beside_a_hole_is_corrected(settings: Settings) -> None:
    settings.GRC20_LIBRARY_PATHS = ["gno.land/p/nobody/grc20"]
    fill_database(NAME)
    settings.GRC20_LIBRARY_PATHS = []
    for hole in HOLES:
        delete_transactions(*hole)
    reparse()
    corrected = set(Transfer.objects.filter(token__standard=True).values_list("block_height", flat=True))
    assert {116, 132, 151} <= corrected
    assert not corrected & {117, 118, 133, 135, 136, 137}
    expect_conserved()
    for hole in HOLES:
        store_heights(recorded(NAME), *hole)
    apply_pending()
    reparse()
    expect_the_chains_own(NAME)


def test_a_message_that_waits_is_settled_with_what_it_tells_of_a_hole() -> None:
    fill_database(NAME, last=110)
    store_heights(recorded(NAME), 111, TIP)
    for hole in HOLES:
        delete_both(*hole)
    assert "waiting messages settled" in reparse()
    expect_the_chains_own(NAME)
    assert store.depth().pending == 0


def test_a_wide_hole_costs_no_batch_for_each_height(monkeypatch: pytest.MonkeyPatch) -> None:
    fill_database(NAME, last=60)
    delete_both(5, 60)
    assert " of 2 batches" in reparse(), "what is below the hole in one, the hole in the other"
    assert Chain.objects.get().coverage == [(0, 4)]


def test_a_message_within_some_heights_tells_of_no_other_token() -> None:
    store_heights(recorded(NAME), 0, TIP)
    message = decode(OutboxMessage.objects.get().body, recorded(NAME).chain_id)
    part = within(message, lambda height: height in (122, 133))

    def said(heights: set[int] | None, of: object) -> list[tuple[object, ...]]:
        rows = (*of.transfers, *of.announcements)  # type: ignore[attr-defined]  # a Message
        return [
            (*row[:3], of.tokens[row[3]], *row[4:])  # type: ignore[attr-defined]
            for row in rows
            if heights is None or row[0] in heights
        ]

    assert said(None, part) == said({122, 133}, message)
    assert len(part.tokens) == len({row[3] for row in said(None, part)}) < len(message.tokens)
    assert within(message, lambda height: False).tokens == []


@pytest.mark.parametrize(("height", "inside"), [(0, False), (3, True), (5, True), (6, False), (9, True), (10, False)])
def test_a_height_is_in_one_of_the_spans_or_in_none(height: int, inside: bool) -> None:
    assert contains([Span(3, 5), Span(9, 9)], height) is inside
