"""Transactions and blocks that are not there, not yet there, or there more than once."""

import pytest

from blocks.models import AcceptedGap, Chain, Transaction
from tests.balances.api.client import Api
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

AIRDROP = 56
UNKNOWN = "A" * 42 + "E="


def test_what_is_not_stored_is_404_and_says_how_far_the_index_is(api: Api) -> None:
    problem = api.problem(f"/transactions/{UNKNOWN}", 404)
    assert problem["indexedHeight"] == -1
    recording = fill_database("gnotest-1", last=100)
    store_heights(recording, 101, 120)
    Chain.objects.update(tip=485)
    for path in (f"/transactions/{UNKNOWN}", "/blocks/121"):
        problem = api.problem(path, 404)
        assert problem["indexedHeight"] < 120
        assert "Stored without a gap up to height 120, indexed up to 10" in problem["detail"]
        assert "the chain is at 485" in problem["detail"]
    AcceptedGap.objects.create(first_height=121, last_height=121, reason="nobody has it")
    assert "left out for good, for no server has it (nobody has it)" in api.problem("/blocks/121", 404)["detail"]


def test_a_hash_that_several_transactions_have_gives_all_of_them_newest_first_in_pages(api: Api) -> None:
    recording = fill_database("gnotest-1", last=60)
    twin = recording.transactions[0]["hash"]
    rows = list(Transaction.objects.order_by("block_height", "index")[:25])
    Transaction.objects.filter(block_height=0, index__lt=25).update(hash=twin)
    pages = list(api.pages(f"/transactions/{twin}"))
    assert [len(page) for page in pages] == [10, 10, 5]
    places = [(row["blockHeight"], row["txIndex"]) for page in pages for row in page]
    assert places == [(row.block_height, row.index) for row in reversed(rows)]
    assert {row["txHash"] for page in pages for row in page} == {twin}


def test_a_block_that_is_stored_and_not_applied_yet_can_be_waited_for(api: Api) -> None:
    recording = fill_database("gnotest-1", last=55)
    store_heights(recording, AIRDROP, AIRDROP)
    before = api.get(f"/blocks/{AIRDROP}")
    assert before["indexedHeight"] < AIRDROP
    assert before["block"]["numTxs"] == 1
    assert before["transfers"] == []
    headers = {"Prefer": "wait=0"}
    assert api.client.get(f"/blocks/{AIRDROP}?minHeight={AIRDROP}", headers=headers).status_code == 409
    apply_pending()
    assert len(api.get(f"/blocks/{AIRDROP}", minHeight=AIRDROP)["transfers"]) == 100
