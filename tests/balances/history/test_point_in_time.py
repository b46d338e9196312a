"""Series and statements against every transfer added up, however far the walker is."""

import random
from bisect import bisect_right
from collections.abc import Iterator

import pytest
from django.db import connection

from balances.history import checkpoints, point_in_time
from balances.history.statement_sql import PAGE, Part, Place, balances_of
from balances.models import Token, Transfer
from tests.balances.history_factories import every_height, walk, zipf_rows
from tests.balances.ledger_factories import apply_all, put, start_chain

pytestmark = [pytest.mark.django_db, pytest.mark.db]

LAST = 100


@pytest.fixture(params=["not walked", "half", "walked"])
def chance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> random.Random:
    monkeypatch.setattr(checkpoints, "STRETCH", 4)
    monkeypatch.setattr(checkpoints, "BATCH", 40)
    chance = random.Random(11)
    start_chain([(0, LAST)])
    put(zipf_rows(chance, 0, LAST))
    apply_all()
    if request.param == "half":
        for _ in range(9):
            assert checkpoints.step()
    elif request.param == "walked":
        walk()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE transfers, checkpoint_marks, balance_checkpoints")
    return chance


def test_a_series_of_any_heights(chance: random.Random) -> None:
    heights = range(-1, LAST + 1)
    known = every_height(heights)
    for account, token in known[LAST]:
        if account != checkpoints.NOBODY:
            some = sorted(chance.sample(heights, chance.randrange(1, 40)))
            assert point_in_time.points(account, token, some) == [known[at].get((account, token), 0) for at in some]


def test_supplies(chance: random.Random) -> None:
    tokens = list(Token.objects.values_list("id", flat=True))
    for height, held in every_height(range(-1, LAST + 1, 10)).items():
        nobodys = {token: -amount for (account, token), amount in held.items() if account == checkpoints.NOBODY}
        assert point_in_time.supplies_at(height, tokens) == nobodys


def test_statements_page_by_page(chance: random.Random) -> None:
    known = every_height(range(-1, LAST + 1))
    pages = 0
    for account, token in known[LAST]:
        if account == checkpoints.NOBODY:
            continue
        first, last = sorted(chance.sample(range(LAST + 1), 2)) if chance.random() < 0.7 else (0, LAST)
        moved = transfers_of(account, token)
        places = [place for place, _ in moved]
        wanted = [(place, change) for place, change in moved if first <= place[0] <= last]
        found, after, most = [], (first, -1, -1), chance.randrange(1, 6)
        while True:
            period = Part(account, token, first, last, after)
            opening, before, closing = balances_of(period)
            assert opening == known[first - 1].get((account, token), 0)
            assert before == sum(change for _, change in moved[: bisect_right(places, after)])
            assert closing == known[last].get((account, token), 0)
            page = list(read(period, most))
            pages += 1
            found += page
            if len(page) < most:
                break
            after = page[-1][0]
        assert found == wanted
    assert pages > 150


def transfers_of(account: int, token: int) -> list[tuple[Place, int]]:
    """Place of each transfer of the pair and what it changed, in chain order."""
    rows = Transfer.objects.filter(token_id=token).order_by("block_height", "tx_index", "event_index")
    return [
        ((row.block_height, row.tx_index, row.event_index), change(account, row))
        for row in rows
        if account in (row.from_account_id, row.to_account_id)
    ]


def change(account: int, row: Transfer) -> int:
    return int(row.amount) * ((row.to_account_id == account) - (row.from_account_id == account))


def read(period: Part, most: int) -> Iterator[tuple[Place, int]]:
    with connection.cursor() as cursor:
        cursor.execute(PAGE, period.values(most))
        for height, tx_index, event_index, token, sender, recipient, amount in cursor.fetchall():
            assert token == period.token
            sides = (recipient == period.account) - (sender == period.account)
            yield (height, tx_index, event_index), int(amount) * sides
