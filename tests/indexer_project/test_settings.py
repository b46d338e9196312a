"""Settings: every variable is documented, and a bad value is told by name to the processes it concerns."""

import logging
import re
import runpy
import warnings
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management.base import CommandError
from django.test import override_settings
from django.views.debug import get_default_exception_reporter_filter

from indexer_project.checks import require
from indexer_project.databases import ENGINE
from indexer_project.environment import PARTS, Problem
from indexer_project.log_formatter import OneLine
from tests.conftest import ROOT

EXAMPLE = (ROOT / ".env.example").read_text()
IN_EXAMPLE = dict(re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`load(NAME="value", …)`: the settings as a process with exactly these variables has them."""

    def loaded(**environment: str) -> dict[str, Any]:
        for name in settings.SETTINGS_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = runpy.run_path(str(ROOT / "indexer_project" / "settings.py"))
        return found | {"warnings": [str(each.message) for each in caught]}

    return loaded


def problems(loaded: dict[str, Any]) -> dict[str, Problem]:
    return {problem.name: problem for problem in loaded["SETTINGS_PROBLEMS"]}


def test_every_variable_is_in_the_example_and_every_one_there_is_read() -> None:
    assert sorted(IN_EXAMPLE) == sorted(settings.SETTINGS_VARIABLES)


def test_no_variable_is_in_the_example_twice() -> None:
    names = re.findall(r"^#?\s*([A-Z][A-Z0-9_]*)=", EXAMPLE, re.MULTILINE)
    assert len(names) == len(set(names))


def test_every_variable_in_the_example_is_explained_and_says_whose_it_is() -> None:
    """A comment with its part stands above it, or above the variables just before it."""
    part = ""
    for line in EXAMPLE.splitlines():
        if line.startswith("#"):
            part = (re.match(r"# \[(\w+)\] \S", line) or ["", part])[1]
        elif "=" in line:
            assert part in PARTS, line
        else:
            part = ""


def test_the_example_holds_the_defaults(load: Any) -> None:
    """With the example as environment, everything is as with no environment at all."""
    plain, copied = load(), load(**IN_EXAMPLE)
    differing = {
        name: (value, copied[name])
        for name, value in plain.items()
        if name.isupper() and name != "LOGGING" and value != copied[name]
    }
    assert differing == {}
    assert problems(copied).keys() == problems(plain).keys()


@pytest.mark.parametrize(("value", "prefix"), [("/indexer", "/indexer"), ("/a/b/", "/a/b"), ("/", ""), ("", "")])
def test_a_path_prefix_is_read_without_the_slash_at_its_end(load: Any, value: str, prefix: str) -> None:
    loaded = load(PATH_PREFIX=value)
    assert loaded["PATH_PREFIX"] == prefix
    assert "PATH_PREFIX" not in problems(loaded)


@pytest.mark.parametrize("value", ["indexer", "//evil.example", "https://host/indexer", "/a/../b", "/a b", "/a?b"])
def test_a_path_prefix_that_is_no_path_is_refused(load: Any, value: str) -> None:
    parts = {each.part for each in load(PATH_PREFIX=value)["SETTINGS_PROBLEMS"] if each.name == "PATH_PREFIX"}
    assert parts == {"api", "stream"}


def test_without_any_variable_only_what_has_no_default_is_missing(load: Any) -> None:
    found = problems(load())
    assert all(problem.missing for problem in found.values())
    assert {"DATABASE_URL", "TX_INDEXER_URLS"} <= found.keys() <= {"DATABASE_URL", "TX_INDEXER_URLS", "SECRET_KEY"}


WHOLE_NUMBERS = [
    name for name, value in IN_EXAMPLE.items() if re.fullmatch(r"\d+", value) and name not in ("HTTPS", "DEBUG")
]
NUMBERS = [name for name, value in IN_EXAMPLE.items() if re.fullmatch(r"\d+\.\d+", value)]


@pytest.mark.parametrize("name", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", ["abc", "-1", "1.5", "", "9" * 30, "1e3", "0x10", "1 2"])
def test_a_number_that_is_none_is_told_by_name_and_the_default_holds(load: Any, name: str, value: str) -> None:
    loaded = load(**{name: value})
    problem = problems(loaded)[name]
    assert name in problem.message
    assert repr(value) in problem.message
    assert IN_EXAMPLE[name] in problem.hint
    assert problem.part in PARTS
    assert not problem.missing
    if name in loaded:
        assert str(loaded[name]) == IN_EXAMPLE[name]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf", "0", ""])
def test_a_time_that_is_none_is_told_by_name(load: Any, name: str, value: str) -> None:
    assert repr(value) in problems(load(**{name: value}))[name].message


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("QUEUE", "foo", "queue"),
        ("QUEUE", "SQS", "queue"),
        ("GRC20_UNSIGNED_AMOUNTS", "yes", "events"),
        ("LOG_LEVEL", "LOUD", "database"),
        ("SQS_CREATE_QUEUE", "perhaps", "queue"),
        ("HTTPS", "perhaps", "api"),
        ("DEBUG", "2", "api"),
        ("READ_DATABASE_URL", "mysql://root@localhost/indexer", "api"),
        ("READ_DATABASE_URL", "replica", "api"),
        ("CORS_ORIGINS", "wallet.example.org", "api"),
        ("CORS_ORIGINS", "https://wallet.example.org/", "api"),
        ("CORS_ORIGINS", "https://*.example.org", "api"),
        ("THROTTLE_ADDRESS", "600", "api"),
        ("THROTTLE_ADDRESS", "0/minute", "api"),
        ("THROTTLE_KEY", "10/fortnight", "api"),
        ("API_KEYS", "long-enough-to-be-a-key short", "api"),
        ("TX_INDEXER_URLS", "indexer.gno.land/graphql/query", "sync"),
        ("TX_INDEXER_URLS", "http://a/graphql/query,ws://b/graphql/query", "sync"),
        ("TX_INDEXER_URLS", "http://", "sync"),
        ("TX_INDEXER_URLS", "http://a:port/graphql/query", "sync"),
        ("TX_INDEXER_URLS", "http://a/graphql/query#connections=many", "sync"),
        ("TX_INDEXER_URLS", "http://a/graphql/query#no_such_option=1", "sync"),
        ("TX_INDEXER_URLS", "http://user:pass/word@a/graphql/query", "sync"),
        ("DATABASE_URL", "mysql://root@localhost/indexer", "database"),
        ("DATABASE_URL", "sqlite:///db.sqlite3", "database"),
        ("DATABASE_URL", "indexer", "database"),
        ("DATABASE_URL", "://", "database"),
        ("DATABASE_URL", "postgresql", "database"),
        ("DATABASE_URL", "postgresql://host:port/name", "database"),
        ("DATABASE_URL", "host=localhost dbnam=indexer", "database"),
    ],
)
def test_a_wrong_value_is_told_by_name(load: Any, name: str, value: str, part: str) -> None:
    loaded = load(**{name: value})
    problem = problems(loaded)[name]
    assert (problem.part, problem.missing) == (part, False)
    assert name in problem.message
    assert problem.hint
    assert loaded["DATABASES"]["default"]["ENGINE"] == ENGINE


def test_a_wrong_database_does_not_show_its_password(load: Any) -> None:
    for url in (
        "mysql://root:%s@localhost/x",
        "postgresql://root:%s@localhost:port/x",
        "postgre://root:%s@localhost/x",
    ):
        loaded = load(DATABASE_URL=url % "hunter2")
        assert "hunter2" not in str(problems(loaded)["DATABASE_URL"])
        assert "hunter2" not in "".join(loaded["warnings"]), "in a warning"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@host/name", {"HOST": "host", "NAME": "name", "USER": "u", "PASSWORD": "p"}),
        ("postgres://u@host:6543/name", {"PORT": "6543"}),
        ("postgresql://u:p%40%2F%23@host/name", {"PASSWORD": "p@/#"}),
        ("postgresql://postgres@/name?host=/run/postgresql", {"NAME": "name"}),
    ],
)
def test_postgresql_is_reached_by_url(load: Any, url: str, expected: dict[str, Any]) -> None:
    loaded = load(DATABASE_URL=url)
    assert "DATABASE_URL" not in problems(loaded)
    assert loaded["DATABASES"]["default"].items() >= expected.items()


@pytest.mark.parametrize(
    ("value", "expected"), [("", None), ("10/second", (10, 1)), ("600/minute", (600, 60)), ("1/day", (1, 86_400))]
)
def test_rates_are_so_many_in_so_many_seconds(load: Any, value: str, expected: tuple[int, int] | None) -> None:
    assert load(THROTTLE_ADDRESS=value)["THROTTLE_ADDRESS"] == expected


def test_keys_are_not_shown(load: Any) -> None:
    assert "hunter2" not in str(problems(load(API_KEYS="hunter2"))["API_KEYS"])


def test_a_secret_that_begins_with_a_dollar_is_that_secret(load: Any) -> None:
    loaded = load(
        SECRET_KEY="$kx9!mq2#vv7&ab1^", API_KEYS="$partner-key-000000001,second-key-000000002", CHAIN_ID="$gno-1"
    )
    assert loaded["SECRET_KEY"] == "$kx9!mq2#vv7&ab1^"
    assert loaded["API_KEYS"] == ["$partner-key-000000001", "second-key-000000002"]
    assert loaded["CHAIN_ID"] == "$gno-1"
    assert not {"SECRET_KEY", "API_KEYS", "CHAIN_ID"} & problems(loaded).keys()


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "READ_DATABASE_URL", "API_KEYS", "TX_INDEXER_URLS"])
def test_every_secret_is_read_from_a_file_too(load: Any, tmp_path: Path, name: str) -> None:
    value = {"API_KEYS": "a-key-of-16-characters", "TX_INDEXER_URLS": "http://host/q"}.get(name, "postgresql://u@h/n")
    (tmp_path / "secret").write_text(f"{value}\n")
    loaded = load(**{f"{name}_FILE": str(tmp_path / "secret")})
    assert not {name, f"{name}_FILE"} & problems(loaded).keys()
    assert loaded[name] in (value, [value])


def test_a_key_that_no_header_can_show_is_refused_by_name(load: Any) -> None:
    assert "API_KEYS" in problems(load(API_KEYS="schlüssel-mit-umlaut-1"))


@pytest.mark.parametrize("value", ["http://a/q,http://b/q", "http://a/q http://b/q", " http://a/q ,, http://b/q,"])
def test_endpoints_are_words_in_order(load: Any, value: str) -> None:
    assert load(TX_INDEXER_URLS=value)["TX_INDEXER_URLS"] == ["http://a/q", "http://b/q"]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("1", True), ("Yes", True), ("off", False), ("", False)]
)
def test_flags_are_read_in_any_spelling(load: Any, value: str, expected: bool) -> None:
    loaded = load(SQS_CREATE_QUEUE=value)
    assert loaded["SQS_CREATE_QUEUE"] is expected
    assert "SQS_CREATE_QUEUE" not in problems(loaded)


# Who is told


WRONG = [
    Problem("sync", "SYNC_CONNECTIONS", "SYNC_CONNECTIONS='abc' is not a whole number.", "Set it to 4."),
    Problem("queue", "QUEUE", "QUEUE='foo' is not one of postgres, sqs.", "Set QUEUE=postgres."),
    Problem("sync", "TX_INDEXER_URLS", "TX_INDEXER_URLS is not set.", "Set it.", missing=True),
]


@override_settings(SETTINGS_PROBLEMS=WRONG)
def test_the_checks_tell_what_is_wrong_and_not_what_is_missing() -> None:
    told = [message for message in run_checks() if str(message.id).startswith("indexer.")]
    assert [(message.id, message.obj) for message in told] == [
        ("indexer.E002", "SYNC_CONNECTIONS"),
        ("indexer.E004", "QUEUE"),
    ]
    assert [message.msg for message in told] == [WRONG[0].message, WRONG[1].message]
    assert [message.hint for message in told] == [WRONG[0].hint, WRONG[1].hint]


def test_each_part_has_an_id_of_its_own() -> None:
    for number, part in enumerate(PARTS, start=1):
        with override_settings(SETTINGS_PROBLEMS=[Problem(part, "NAME", "message", "hint")]):
            (told,) = [message for message in run_checks() if str(message.id).startswith("indexer.")]
            assert told.id == f"indexer.E{number:03}"


@override_settings(SETTINGS_PROBLEMS=WRONG)
def test_a_process_is_told_about_its_own_part_only() -> None:
    require("database", "events", "api")
    with pytest.raises(CommandError, match="QUEUE") as refused:
        require("database", "queue")
    assert "SYNC" not in str(refused.value)
    with pytest.raises(CommandError) as refused:
        require("sync", "queue")
    for problem in WRONG:
        assert f"{problem.message} {problem.hint}" in str(refused.value)


def test_a_log_line_is_one_line_whatever_an_error_says() -> None:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "Lost error=%s", ("refused\n\tIs it running?",), None)
    assert OneLine("{levelname} {message}", style="{").format(record) == "ERROR Lost error=refused Is it running?"


def test_an_error_page_with_details_shows_no_address_with_a_password(load: Any) -> None:
    hidden = {name: f"http://user:hunter2@{name.lower()}/" for name in IN_EXAMPLE if name.endswith(("_URL", "_URLS"))}
    hidden["TX_INDEXER_PROXY"] = "http://user:hunter2@proxy:1"
    with override_settings(**{name: load(**hidden)[name] for name in hidden}):
        shown = get_default_exception_reporter_filter().get_safe_settings()
        assert {name for name in hidden if "hunter2" in str(shown[name])} == set()
    assert shown["LOG_LEVEL"] == settings.LOG_LEVEL
