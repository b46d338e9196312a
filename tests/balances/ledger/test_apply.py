"""Applying messages: each transfer once, whatever the order, the repetition and the packing."""

import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balances.ledger.apply import apply
from balances.models import Account, Balance, Token, TokenTotals, Transfer
from tests.balances.ledger_factories import added_up, balances, expect_conserved, messages, of
from tests.events.factories import TOKEN, Row

pytestmark = [pytest.mark.db, pytest.mark.django_db]

OTHER = "gno.land/r/demo/bar20"


def some_rows(seed: int, count: int) -> list[Row]:
    """Transfers among few accounts, mints and burns among them, at heights and places of their own."""
    dice = random.Random(seed)
    sides = ["", *(f"g1{letter}" for letter in "abcdef")]
    rows = []
    for number in range(count):
        sender, recipient = dice.choice(sides), dice.choice(sides)
        token = dice.choice([TOKEN, OTHER])
        if sender or recipient:
            rows.append(Row(number // 7, number % 7, number % 3, sender, recipient, dice.randrange(2**64), token))
    return rows


def totals(token: str = TOKEN) -> tuple[int, int, int, int]:
    """Minted, burned, transfers, holders."""
    of_token = TokenTotals.objects.get(token__path=token)
    return int(of_token.minted), int(of_token.burned), of_token.transfers, of_token.holders


def test_mint_transfer_and_burn_move_balances_and_totals() -> None:
    rows = [Row(1, 0, 0, "", "g1a", 100), Row(2, 0, 0, "g1a", "g1b", 30), Row(3, 0, 0, "g1b", "", 10)]
    assert apply(messages(rows)) == 3
    assert of() == {"g1a": 70, "g1b": 20}
    assert totals() == (100, 10, 3, 2)
    assert [row.type for row in Transfer.objects.order_by("block_height")] == ["mint", "transfer", "burn"]
    expect_conserved()


def test_vector_4_wrapping_and_unwrapping_leaves_the_difference() -> None:
    apply(messages([Row(1, 0, 0, "", "g1user", 1_000_000), Row(2, 0, 0, "g1user", "", 400_000)]))
    assert of() == {"g1user": 600_000}
    assert totals() == (1_000_000, 400_000, 2, 1)


def test_vector_13_a_mint_at_height_0_counts() -> None:
    apply(messages([Row(0, 0, 0, "", "g1a", 5)]))
    assert of() == {"g1a": 5}


def test_what_is_delivered_twice_counts_once() -> None:
    rows = some_rows(1, 60)
    for _ in range(3):
        apply(messages(rows))
    apply(messages(rows, rows))
    assert balances() == added_up(rows)
    expect_conserved()


def test_what_is_delivered_out_of_order_gives_the_same_balances() -> None:
    rows = some_rows(2, 60)
    shuffled = random.Random(2).sample(rows, len(rows))
    for row in shuffled:
        apply(messages([row]))
    assert balances() == added_up(rows)
    expect_conserved()


def test_what_is_split_differently_gives_the_same_balances() -> None:
    rows = some_rows(3, 60)
    for parts in (7, 13, 60, 1):
        apply(messages(*(rows[start : start + parts] for start in range(0, len(rows), parts))))
        expect_conserved()
    assert balances() == added_up(rows)
    assert Transfer.objects.count() == len(rows)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(0, 39), max_size=12), max_size=8),
    st.sampled_from([11, 12, 13]),
)
def test_any_selection_in_any_order_and_packing_gives_the_sums_of_what_is_in(
    deliveries: list[list[int]], seed: int
) -> None:
    for model in (Transfer, Balance, TokenTotals):
        model.objects.all().delete()
    rows = some_rows(seed, 60)[:40]
    for chosen in deliveries:
        apply(messages([rows[number] for number in chosen]))
    assert balances() == added_up(rows[number] for chosen in deliveries for number in chosen)
    expect_conserved()


def test_a_transfer_of_nothing_is_kept_and_changes_nothing() -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 5), Row(2, 0, 0, "g1a", "g1b", 0), Row(3, 0, 0, "", "g1c", 0)]))
    assert of() == {"g1a": 5}
    assert totals() == (5, 0, 3, 1)
    assert Balance.objects.count() == 3, "the ledger has entries of nothing, as the chain's has"
    expect_conserved()


def test_a_transfer_to_oneself_changes_nothing() -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 5)]))
    apply(messages([Row(2, 0, 0, "g1a", "g1a", 3), Row(3, 0, 0, "g1b", "g1b", 4)]))
    assert of() == {"g1a": 5}
    assert totals() == (5, 0, 3, 1)
    expect_conserved()


@pytest.mark.parametrize("amount", [2**63 - 1, 2**63, 2**64 - 1])
def test_the_largest_amounts_are_exact_and_their_sums_too(amount: int) -> None:
    rows = [Row(height, 0, 0, "", "g1a", amount) for height in range(20)]
    apply(messages([*rows, Row(30, 0, 0, "g1a", "g1b", amount)]))
    assert of() == {"g1a": 19 * amount, "g1b": amount}
    assert totals()[0] == 20 * amount
    expect_conserved()


def test_a_balance_may_be_negative_for_a_while_and_is_never_clamped() -> None:
    apply(messages([Row(5, 0, 0, "g1a", "g1b", 30)]))
    assert of() == {"g1a": -30, "g1b": 30}
    assert totals() == (0, 0, 1, 1), "whoever owes is no holder"
    expect_conserved()
    apply(messages([Row(1, 0, 0, "", "g1a", 100)]))
    assert of() == {"g1a": 70, "g1b": 30}
    assert totals() == (100, 0, 2, 2)
    expect_conserved()


def test_holders_come_and_go_with_their_balance() -> None:
    steps = [
        (Row(1, 0, 0, "", "g1a", 10), 1),
        (Row(2, 0, 0, "g1a", "g1b", 4), 2),
        (Row(3, 0, 0, "g1a", "g1b", 6), 1),
        (Row(4, 0, 0, "g1b", "g1a", 10), 1),
        (Row(5, 0, 0, "g1a", "", 10), 0),
        (Row(6, 0, 0, "g1a", "g1c", 1), 1),
    ]
    for row, holders in steps:
        apply(messages([row]))
        assert totals()[3] == holders, row
        expect_conserved()


def test_within_one_batch_only_the_end_decides_who_holds() -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 10), Row(2, 0, 0, "g1a", "g1b", 10), Row(3, 0, 0, "g1b", "", 10)]))
    assert totals() == (10, 10, 3, 0)
    expect_conserved()


def test_one_position_twice_in_a_message_counts_once() -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 10), Row(1, 0, 0, "", "g1a", 10)]))
    assert of() == {"g1a": 10}
    expect_conserved()


def test_addresses_that_differ_by_case_are_different_accounts() -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 1), Row(1, 0, 1, "", "G1A", 2)]))
    assert of() == {"g1a": 1, "G1A": 2}


@pytest.mark.parametrize(
    "address", ["\\N", "a\tb", "a\nb", "\\", "\u202e\U0010ffff", "'; --", "%s", "{}", "NULL", "-1"]
)
def test_addresses_and_tokens_are_kept_to_the_letter(address: str) -> None:
    token = f"gno.land/r/x.{address}"
    apply(messages([Row(1, 0, 0, "", address, 1, token), Row(2, 0, 0, "", "g1b", 2, token)]))
    assert of(token) == {address: 1, "g1b": 2}
    assert Account.objects.filter(address=address).exists()
    expect_conserved()


@pytest.mark.parametrize(
    ("path", "realm", "key"),
    [
        ("gno.land/r/x#s.SYM.0000000", "gno.land/r/x#s", "gno.land/r/x#s.SYM"),
        ("gno.land/r/x.SYM", "gno.land/r/x", "gno.land/r/x.SYM"),
        ("gno.land/r/x", "gno.land/r/x", "gno.land/r/x"),
    ],
)
def test_a_token_is_found_by_its_realm_and_key(path: str, realm: str, key: str) -> None:
    apply(messages([Row(1, 0, 0, "", "g1a", 1, path)]))
    token = Token.objects.get(path=path)
    assert (token.realm, token.key) == (realm, key)


def test_a_message_without_rows_is_applied_as_nothing() -> None:
    assert apply([]) == 0
    assert not Balance.objects.exists()


def test_the_number_of_statements_does_not_depend_on_the_size_of_a_batch() -> None:
    def statements(first_height: int, message_count: int, size: int) -> int:
        def rows(height: int) -> list[Row]:
            return [Row(height, 0, n, f"g1{height}-{n}", f"g1{n % 7}", 1, f"r/{height}") for n in range(size)]

        batch = messages(*(rows(first_height + number) for number in range(message_count)))
        with CaptureQueriesContext(connection) as captured:
            apply(batch)
        return len(captured)

    assert statements(100, 1, 1) == statements(200, 10, 15) == statements(400, 10, 50) <= 10
