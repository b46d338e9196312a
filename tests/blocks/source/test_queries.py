"""The text of questions, and text that PostgreSQL can hold."""

import json

import pytest
from django.db import connection
from graphql import parse
from hypothesis import given
from hypothesis import strategies as st

from blocks.models import Chain, Transaction
from blocks.source import queries
from postgres.fields import HeightRangesField, RawJSONField, height_ranges
from postgres.text import is_storable, storable

# Questions


@given(st.integers(0, 2**62), st.integers(0, 10_000))
def test_bounds_are_strict_and_there_is_none_below_0(first: int, more: int) -> None:
    last = first + more
    for question, name in (
        (queries.blocks(first, last), "height"),
        (queries.transactions(first, last), "block_height"),
    ):
        parse(question)
        if first == 0:
            assert f"{{{name}:{{lt:{last + 1}}}}}" in question
            assert "gt" not in question
        else:
            assert f"{{{name}:{{gt:{first - 1},lt:{last + 1}}}}}" in question


@given(st.integers(0, 2**62), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_page_is_of_one_block(height: int, first: int, more: int) -> None:
    question = queries.transactions_page(height, first, first + more)
    parse(question)
    assert f"block_height:{{eq:{height}}}" in question
    lower = f"gt:{first - 1}," if first else ""
    assert f"index:{{{lower}lt:{first + more + 1}}}" in question


def test_rows_are_asked_for_in_order() -> None:
    assert "order:{height:ASC}" in queries.blocks(1, 2)
    assert "order:{heightAndIndex:ASC}" in queries.transactions(1, 2)
    assert "order:{heightAndIndex:ASC}" in queries.transactions_page(1, 0, 5)


def test_the_height_is_asked_for_alone() -> None:
    """Root fields of one query are read from snapshots of their own: a height beside rows may be newer than they."""
    assert "get" not in queries.TIP
    assert "latestBlockHeight" not in queries.blocks(0, 5) + queries.transactions(0, 5)


def test_every_event_is_asked_for_whatever_its_kind() -> None:
    """Its position in the full list identifies an event."""
    assert "events{__typename" in queries.transactions(0, 5).replace(" ", "")
    assert "func" not in queries.transactions(0, 5).split("events{")[1], "newer servers have no func"


# Text


@given(st.text(st.characters(exclude_categories=(), codec=None)))
def test_storable_text_is_storable_and_loses_nothing(text: str) -> None:
    kept = storable(text)
    assert is_storable(kept)
    assert "\x00" not in kept
    kept.encode()
    if is_storable(text):
        assert kept == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("ordinary 😀 \x01\x7f\ufffd\ufeff", "ordinary 😀 \x01\x7f\ufffd\ufeff"),
        ("\x00", r"\u0000"),
        ("\ud800\udfff\udc80", r"\ud800\udfff\udc80"),
        ("a\x00\x00b", r"a\u0000\u0000b"),
    ],
)
def test_what_cannot_be_stored_is_spelled_out(text: str, kept: str) -> None:
    assert storable(text) == kept


# Columns

in_database = pytest.mark.django_db


@pytest.mark.db
@in_database
@pytest.mark.parametrize(
    ("given_ranges", "kept"),
    [
        ([], []),
        ([(0, 0)], [(0, 0)]),
        ([(0, 5), (7, 7)], [(0, 5), (7, 7)]),
        ([(5, 6), (0, 4)], [(0, 6)]),
        ([(0, 3), (2, 9)], [(0, 9)]),
        ([(0, 2**62)], [(0, 2**62)]),
    ],
)
def test_ranges_of_heights_come_back_as_they_went(
    given_ranges: list[tuple[int, int]], kept: list[tuple[int, int]]
) -> None:
    Chain.objects.create(chain_id="dev", coverage=given_ranges)
    assert Chain.objects.get().coverage == kept
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s = coverage FROM chain", [height_ranges(given_ranges)])  # type: ignore[list-item]  # psycopg dumps ranges
        assert cursor.fetchone()[0] is True


@pytest.mark.db
@in_database
@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        None,
        "text",
        [{"a": 'NUL \x00 and \ud800 and \udfff and 😀 and \\u0000 \\ " /'}],
        {"\x00": "\ud800"},
        [2**63 - 1, -(2**63), 2**200, 1.5, True, None],
        {"same": 1, "order": 2, "kept": 3},
    ],
    ids=repr,
)
def test_json_comes_back_to_the_letter(value: object) -> None:
    Transaction.objects.create(
        block_height=1,
        index=0,
        hash="",
        success=True,
        gas_wanted=0,
        gas_used=0,
        gas_fee="",
        memo="",
        error="",
        messages=[] if value is None else value,
        events=[value],
    )
    stored = Transaction.objects.get()
    assert stored.events == [value]
    assert json.dumps(stored.events) == json.dumps([value])


def test_columns_have_the_types_of_postgresql() -> None:
    assert HeightRangesField().db_type(connection) == "int8multirange"
    assert RawJSONField().db_type(connection) == "json"
