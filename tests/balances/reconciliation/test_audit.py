"""`manage.py audit`: a ledger that adds up is exit 0; each way of not adding up is exit 1, with the rows."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from balances.models import Balance
from balances.reconciliation.audit import Break, audit
from blocks.models import AcceptedGap, Chain
from events.outbox import store
from events.outbox.message import Packer
from tests.balances.ledger_factories import apply_all, put, start_chain
from tests.chains import fill_database
from tests.events.factories import CHAIN, TOKEN, Row

pytestmark = [pytest.mark.db, pytest.mark.django_db]

BAR = "gno.land/r/demo/bar20.BAR.0000000"


def small_ledger() -> None:
    """Two tokens: 100 FOO minted, 30 moved on, 5 burned; 7 BAR minted and moved on."""
    start_chain([(0, 40)])
    put(
        [Row(1, 0, 0, "", "g1a", 100), Row(2, 0, 0, "g1a", "g1b", 30), Row(3, 0, 0, "g1b", "", 5)],
        [Row(4, 0, 0, "", "g1a", 7, BAR), Row(5, 0, 0, "g1a", "g1b", 7, BAR)],
    )
    apply_all()


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement.replace("FOO", f"(SELECT id FROM tokens WHERE path = '{TOKEN}')"))
        assert cursor.rowcount == 1


def broken(*, deep: bool = False) -> list[Break]:
    return audit(deep=deep).breaks


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()


def test_a_ledger_that_adds_up_is_summed_up() -> None:
    small_ledger()
    assert command() == "2 tokens, 4 balances, 5 transfers, indexed height 40.\n"
    assert "every balance added up" in command("--deep")
    told: dict[str, Any] = json.loads(command("--json", "--deep"))
    assert told == {
        "breaks": [],
        "tokens": 2,
        "balances": 4,
        "transfers": 5,
        "deep": True,
        "indexed_height": 40,
        "shown_of_a_kind": 1_000,
    }


@pytest.mark.parametrize("name", ["gnotest-1", "test5-1"])
def test_recorded_chains_add_up(name: str) -> None:
    fill_database(name)
    negative = {one.token for one in broken(deep=True) if one.kind == "negative"}
    assert negative == ({"gno.land/r/lab/forger"} if name == "test5-1" else set()), "a realm that lies about itself"
    command("--deep", "--allow-negative")


def test_an_empty_database_adds_up() -> None:
    assert audit(deep=True).breaks == []


BALANCE = "account_id = (SELECT id FROM accounts WHERE address = 'g1b') AND token_id = FOO"


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            f"UPDATE balances SET amount = amount + 1 WHERE {BALANCE}",
            [Break("supply", TOKEN, "", 96, 95)],
        ),
        (
            "UPDATE token_totals SET minted = minted + 1 WHERE token_id = FOO",
            [Break("minted", TOKEN, "", 101, 100), Break("supply", TOKEN, "", 95, 96)],
        ),
        (
            "UPDATE token_totals SET burned = burned - 1 WHERE token_id = FOO",
            [Break("burned", TOKEN, "", 4, 5), Break("supply", TOKEN, "", 95, 96)],
        ),
        (
            "UPDATE token_totals SET transfers = 9 WHERE token_id = FOO",
            [Break("transfers", TOKEN, "", 9, 3)],
        ),
        ("UPDATE token_totals SET holders = 3 WHERE token_id = FOO", [Break("holders", TOKEN, "", 3, 2)]),
        (
            "DELETE FROM token_totals WHERE token_id = FOO",
            [
                Break("burned", TOKEN, "", 0, 5),
                Break("holders", TOKEN, "", 0, 2),
                Break("minted", TOKEN, "", 0, 100),
                Break("supply", TOKEN, "", 95, 0),
                Break("transfers", TOKEN, "", 0, 3),
            ],
        ),
        (
            "DELETE FROM transfers WHERE block_height = 2",
            [Break("transfers", TOKEN, "", 3, 2)],
        ),
        (
            f"DELETE FROM balances WHERE {BALANCE}",
            [Break("holders", TOKEN, "", 2, 1), Break("supply", TOKEN, "", 70, 95)],
        ),
    ],
)
def test_each_sum_that_differs_is_told_with_both_numbers(statement: str, expected: list[Break]) -> None:
    small_ledger()
    sql(statement)
    assert broken() == expected
    with pytest.raises(CommandError, match=f"{len(expected)} breaks"):
        command()


def test_two_balances_that_make_up_for_each_other_are_found_by_looking_deep() -> None:
    small_ledger()
    sql(f"UPDATE balances SET amount = amount + 1 WHERE {BALANCE}")
    other = BALANCE.replace("g1b", "g1a")
    sql(f"UPDATE balances SET amount = amount - 1 WHERE {other}")
    assert broken() == []
    assert broken(deep=True) == [Break("balance", TOKEN, "g1a", 69, 70), Break("balance", TOKEN, "g1b", 26, 25)]
    with pytest.raises(CommandError):
        command("--deep")


def test_a_miscounted_account_is_found_by_looking_deep() -> None:
    small_ledger()
    sql(f"UPDATE balances SET transfers = transfers + 1 WHERE {BALANCE}")
    assert broken() == []
    (found,) = broken(deep=True)
    assert (found.kind, found.address, found.found - found.expected) == ("movements", "g1b", 1)


def test_balances_and_totals_of_a_token_that_is_not_there_are_told() -> None:
    small_ledger()
    sql("INSERT INTO token_totals (token_id, minted) VALUES (999, 4)")
    sql("INSERT INTO balances (token_id, account_id, amount) VALUES (998, 997, 3)")
    assert {(one.kind, one.found, one.expected) for one in broken(deep=True)} == {
        ("minted", 4, 0), ("supply", 0, 4), ("supply", 3, 0), ("holders", 0, 1), ("balance", 3, 0),
    }  # fmt: skip


# Negative balances


def negative_ledger(*coverage: tuple[int, int]) -> None:
    start_chain(coverage)
    put([Row(5, 0, 0, "g1a", "g1b", 30)])
    apply_all()


def test_a_balance_that_is_negative_with_everything_applied_is_told() -> None:
    negative_ledger((0, 40))
    assert broken() == [Break("negative", TOKEN, "g1a", -30, 0)]
    for arguments in ([], ["--allow-negative"]):
        out = StringIO()
        with pytest.raises(CommandError, match=r"1 breaks, 1 negative balances\. Nothing is left out"):
            call_command("audit", *arguments, stdout=out)
        assert f"negative   {TOKEN} g1a: -30, expected 0\n" in out.getvalue()


def burn_out_of_nothing(*tokens: tuple[str, bool], address: str = "g1liar") -> None:
    """Each token's realm emits a burn from an address that it never credited. `tokens`: path, standard."""
    start_chain([(0, 40)])
    packer = Packer(CHAIN, 262_144)
    for event, (path, standard) in enumerate(tokens):
        packer.add_transfer(7, 0, event, path, standard, address, "", 5)
    store.add(packer.messages())
    apply_all()


REALM = "gno.land/r/evil/coin"


def test_a_token_that_is_not_standard_is_told_with_its_contradiction_and_fails_nothing() -> None:
    burn_out_of_nothing((REALM, False), (f"{REALM}.EVIL.0000000", False))
    told = command()
    assert f"negative   {REALM} g1liar: -5, expected 0 (the token is not standard: its realm contradicts" in told
    assert f"negative   {REALM}.EVIL.0000000 g1liar" in told
    (first, second) = json.loads(command("--json", "--deep"))["breaks"]
    assert (first["standard"], second["standard"]) == (False, False)


def test_any_number_of_such_tokens_hides_no_standard_one() -> None:
    burn_out_of_nothing(*((f"gno.land/r/a/{number:04}", False) for number in range(1_100)), (TOKEN, True))
    with pytest.raises(CommandError, match="1 breaks, 1 negative"):
        command()
    told = broken()
    assert len(told) == 1_000
    assert (told[0].token, told[0].standard) == (TOKEN, True)


def test_where_every_realm_stamps_its_own_events_negatives_may_be_allowed() -> None:
    burn_out_of_nothing((REALM, True))
    with pytest.raises(CommandError, match="without a GRC20 library"):
        command()
    assert f"negative   {REALM} g1liar: -5, expected 0\n" in command("--allow-negative")
    (told,) = json.loads(command("--json", "--allow-negative"))["breaks"]
    assert (told["standard"], told["by_realm"]) == (True, True)


def test_sums_of_a_token_that_is_not_standard_have_to_be_right_all_the_same() -> None:
    burn_out_of_nothing((REALM, False))
    Balance.objects.update(amount=-4)
    with pytest.raises(CommandError, match="1 breaks, 0 negative"):
        command("--allow-negative")


@pytest.mark.parametrize("stored", [True, False])
def test_blocks_that_are_stored_and_do_not_link_are_a_break(stored: bool) -> None:
    small_ledger()
    Chain.objects.update(conflict="Block 9 does not follow block 8", conflict_height=9, conflict_stored=stored)
    if stored:
        out = StringIO()
        with pytest.raises(CommandError, match="1 breaks"):
            call_command("audit", stdout=out)
        assert "chain      Block 9 does not follow block 8\n" in out.getvalue()
    else:
        assert "chain" not in command()


def test_a_balance_that_is_negative_because_something_below_waits_is_not_broken() -> None:
    negative_ledger((0, 40))
    put([Row(3, 0, 0, "", "g1a", 30)])
    assert broken() == [], "the mint at height 3 waits, so nothing is said of heights above 2"
    apply_all()
    assert broken() == []


def test_a_balance_that_was_negative_at_the_indexed_height_is_told_though_later_ones_mend_it_partly() -> None:
    negative_ledger((0, 40))
    put([Row(2, 0, 0, "", "g1a", 3), Row(20, 0, 0, "g1b", "g1a", 4), Row(21, 0, 0, "g1a", "g1b", 1)])
    apply_all()
    put([Row(10, 0, 0, "", "g1c", 1)])  # waits: the indexed height is 9
    assert broken() == [Break("negative", TOKEN, "g1a", -27, 0)]


def test_negative_balances_of_a_history_with_holes_are_told_with_what_may_explain_them() -> None:
    negative_ledger((3, 40))
    AcceptedGap.objects.create(first_height=0, last_height=2, reason="lost")
    with pytest.raises(CommandError, match="accepted gaps"):
        command()
    AcceptedGap.objects.all().delete()
    Chain.objects.update(start_height=3)
    with pytest.raises(CommandError, match="START_HEIGHT"):
        command()
    Chain.objects.update(start_height=0, first_height=3)
    with pytest.raises(CommandError, match="no endpoint has the beginning"):
        command()
