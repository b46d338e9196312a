"""Values are what they are, whatever characters they have, from the environment, from `.env` and from files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer_project.environment import Environment

ODD = [
    "$kx9!mq2#vv7&ab1^",
    "$HOME",
    "${HOME}",
    "a'b",
    'a"b',
    "a\\$b\\n",
    "a # b",
    "50%",
    "ünïcode…",
    "{{x}}",
    "a=b=c",
    "`id`",
]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Environment]:
    """`read(dotenv="…", NAME="value")`: an environment of exactly this `.env` and these variables."""

    def environment(dotenv: str = "", **variables: str) -> Environment:
        monkeypatch.setattr(os, "environ", dict(variables))
        (tmp_path / ".env").write_text(dotenv)
        return Environment(tmp_path / ".env")

    return environment


@pytest.mark.parametrize("value", ODD)
def test_a_value_of_the_environment_is_literal(read: Callable[..., Environment], value: str) -> None:
    env = read(SECRET=value, TEXT=value)
    assert (env.secret("api", "SECRET"), env.text("TEXT"), env.problems) == (value, value, [])


@pytest.mark.parametrize("value", ODD)
def test_a_value_of_dotenv_is_literal_quoted_or_not(read: Callable[..., Environment], value: str) -> None:
    lines = [f"PLAIN={value}", f"SINGLE='{value}'", f"export SPACED =  {value}  "]
    env = read("\n".join(["# a comment", "", *lines, ""]))
    assert [env.secret("api", name) for name in ("PLAIN", "SINGLE", "SPACED")] == [value] * 3
    assert env.problems == []


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a b"', "a b"),
        (r'"a\"b\\c\$d\n"', r'a"b\c$d\n'),
        ("' kept '", " kept "),
        ("''", ""),
        ("'it's'", "it's"),
        ("\tx\r", "x"),
    ],
)
def test_quotes_of_dotenv_are_those_of_a_shell(read: Callable[..., Environment], written: str, value: str) -> None:
    env = read(f"NAME={written}\n")
    assert (env.secret("api", "NAME"), env.problems) == (value, [])


@pytest.mark.parametrize(
    ("line", "name"),
    [("NAME='hunter2", "NAME"), ('NAME="hunter2" # x', "NAME"), ("hunter2", "line 1"), ("A-B=x", "line 1")],
)
def test_a_line_of_dotenv_that_cannot_be_read_is_refused_by_name(
    read: Callable[..., Environment], line: str, name: str
) -> None:
    (problem,) = read(line).problems
    assert problem.name == name
    assert "hunter2" not in problem.message + problem.hint


def test_the_environment_wins_over_dotenv(read: Callable[..., Environment]) -> None:
    assert read("NAME=of dotenv", NAME="of the environment").text("NAME") == "of the environment"


def test_what_is_no_utf8_is_refused_by_name(read: Callable[..., Environment]) -> None:
    env = read(SECRET="a\udcff")
    assert env.secret("api", "SECRET") == ""
    assert [problem.name for problem in env.problems] == ["SECRET"]


def test_blanks_around_a_secret_are_part_of_it(read: Callable[..., Environment]) -> None:
    assert read(SECRET=" x ").secret("api", "SECRET") == " x "
    env = read(SECRET="  ")
    assert env.secret("api", "SECRET") == ""
    assert "white space" in env.problems[0].message


# Secrets from files


@pytest.mark.parametrize("content", ["$x # y", "$x # y\n", "$x # y\r\n"])
def test_a_secret_is_read_from_a_file_but_for_its_last_lines_end(
    read: Callable[..., Environment], tmp_path: Path, content: str
) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    env = read(SECRET_FILE=str(tmp_path / "secret"))
    assert (env.secret("api", "SECRET"), env.problems) == ("$x # y", [])


def test_several_secrets_of_a_file_are_lines_or_words(read: Callable[..., Environment], tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("one\ntwo,three\n")
    assert read(KEYS_FILE=str(tmp_path / "secrets")).secret_words("api", "KEYS") == ["one", "two", "three"]


def test_a_file_that_cannot_be_read_is_refused_by_name(read: Callable[..., Environment], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for path, reason in {
        "missing": "No such file",
        ".": "directory",
        "empty": "is empty",
        "bytes": "not UTF-8",
    }.items():
        env = read(SECRET_FILE=str(tmp_path / path))
        assert env.secret("api", "SECRET") == ""
        env.need("api", "SECRET", "Set it.")
        (problem,) = env.problems
        assert (problem.part, problem.name) == ("api", "SECRET_FILE")
        assert reason in problem.message


def test_a_secret_and_its_file_together_are_refused_by_name(read: Callable[..., Environment], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the file")
    (problem,) = problems_of(read(SECRET="hunter2", SECRET_FILE=str(tmp_path / "secret")))
    assert problem.name == "SECRET_FILE"
    assert "hunter2" not in problem.message


def problems_of(env: Environment) -> list[Any]:
    env.secret("api", "SECRET")
    return list(env.problems)
