"""Histories for tests of balances of the past, and the plain sums that they must agree with."""

import random
from collections import Counter
from collections.abc import Iterable

from django.db import connection

from balances.history import checkpoints
from balances.history.checkpoints import NOBODY
from balances.models import Transfer
from tests.events.factories import Row

Pair = tuple[int, int]


def zipf_rows(chance: random.Random, first_height: int, last_height: int, *, most: int = 6) -> list[Row]:
    """Up to `most` transfers at each height, skewed: some accounts and one token are in most of them."""
    rows = []
    for height in range(first_height, last_height + 1):
        for index in range(chance.randrange(most + 1)):
            sender, recipient = (f"g1{int(40 ** chance.random())}" for _ in range(2))
            kind = chance.random()
            token = f"gno.land/r/past.T{int(6 ** chance.random())}.0000000"
            sides = ("", recipient) if kind < 0.1 else (sender, "") if kind < 0.15 else (sender, recipient)
            rows.append(Row(height, index // 2, index % 2, *sides, chance.randrange(100), token))
    return rows


def walk() -> int:
    """Make checkpoints until nothing is left to do; returns how many steps it took."""
    for steps in range(10_000):
        if not checkpoints.step():
            return steps
    raise AssertionError("there is always something left to do")


def sides() -> list[tuple[int, int, int, int]]:
    """Every movement as (height, account id, token id, signed amount), in order; nobody is account 0."""
    found = []
    for height, token, sender, recipient, amount in Transfer.objects.order_by("block_height").values_list(
        "block_height", "token_id", "from_account_id", "to_account_id", "amount"
    ):
        found += [(height, sender or NOBODY, token, -int(amount)), (height, recipient or NOBODY, token, int(amount))]
    return found


def held_by(height: int) -> dict[Pair, int]:
    """What is held at `height`, added up from every transfer."""
    held: Counter[Pair] = Counter()
    for at, account, token, amount in sides():
        if at <= height:
            held[account, token] += amount
    return dict(held)


def every_height(heights: Iterable[int]) -> dict[int, dict[Pair, int]]:
    """`held_by` of each of `heights`, which ascend, in one pass."""
    held: dict[Pair, int] = {}
    movements, position, found = sides(), 0, {}
    for height in heights:
        while position < len(movements) and movements[position][0] <= height:
            _, account, token, amount = movements[position]
            held[account, token] = held.get((account, token), 0) + amount
            position += 1
        found[height] = dict(held)
    return found


def longest_stretch() -> int:
    """The most movements that an account has between two marks, before the first or after the last, up to the walk."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT account_id, block_height FROM checkpoint_marks")
        marks = set(cursor.fetchall())
        cursor.execute("SELECT height FROM checkpoint_walk")
        ((walked,),) = cursor.fetchall()
    between: Counter[int] = Counter()
    longest = 0
    movements = [(height, account) for height, account, _, _ in sides() if height <= walked]
    for height in sorted({height for height, _ in movements}):
        here = [account for at, account in movements if at == height]
        for account in here:
            between[account] += 1
        for account in set(here):
            if (account, height) in marks:
                between[account] = 0
            longest = max(longest, between[account])
    return longest
