"""CSV that any reader reads and no spreadsheet calculates; NDJSON."""

import csv
import io
import json

import pytest

from balances.api.responses.row_formats import Csv, Ndjson

pytestmark = [pytest.mark.api]


def read(text: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))


@pytest.mark.parametrize("text", ["plain", 'with "quotes"', "a,b", "two\nlines", "two\r\nlines", " space ", "ü 💰", ""])
def test_any_text_comes_back_from_csv(text: str) -> None:
    form = Csv(("a", "b"))
    written = form.begin() + form.lines([{"a": text, "b": "x"}, {"b": text, "c": "not a column"}])
    assert read(written) == [["a", "b"], [text, "x"], ["", text]]
    assert written.endswith(b"\r\n")


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "-", "+5"]
)
def test_what_a_spreadsheet_would_calculate_is_text(text: str) -> None:
    assert read(Csv(("a",)).lines([{"a": text}])) == [[f"'{text}"]]
    assert read(Csv(("a",)).lines([{"a": [text, "x"]}])) == [[f"'{text}; x"]]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-5, "-5"),
        (10**77, str(10**77)),
        ("-5", "-5"),
        ("5", "5"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        ([], ""),
        (["duplicate id", "ephemeral"], "duplicate id; ephemeral"),
        ([{"key": "from"}], '[{"key":"from"}]'),
    ],
)
def test_numbers_stay_numbers_and_lists_are_one_cell(value: object, cell: str) -> None:
    assert read(Csv(("a",)).lines([{"a": value}])) == [[cell]]


def test_ndjson_has_an_object_a_line_with_exact_numbers() -> None:
    rows: list[dict[str, object]] = [{"a": 10**77, "b": "two\nlines"}, {"a": None, "b": []}]
    lines = Ndjson().lines(rows).split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == rows
    assert lines[-1] == b""
    assert Ndjson().begin() == b""


def test_a_last_word_is_none_of_the_list() -> None:
    assert read(Csv(("a", "b")).last_word("why", "http://x")) == [["#incomplete", "why", "http://x"]]
    assert json.loads(Ndjson().last_word("why", "http://x")) == {"incomplete": "why", "next": "http://x"}
