"""Every form of database URL that libpq takes, and what is refused of it, without showing it."""

from pathlib import Path
from typing import Any

import pytest

from indexer_project.database_urls import UrlUnreadable, read_url

FORMS: list[tuple[str, dict[str, str]]] = [
    ("postgresql://u:p@host/name", {"USER": "u", "PASSWORD": "p", "HOST": "host", "NAME": "name"}),
    ("postgres://u@host:6543/name", {"PORT": "6543"}),
    ("postgresql://u@h1:1,h2:2/name", {"HOST": "h1,h2", "PORT": "1,2"}),
    ("postgresql://u@h1,h2/name", {"HOST": "h1,h2", "PORT": ","}),
    ("postgresql://u@[::1]:5433/name", {"HOST": "::1", "PORT": "5433"}),
    ("postgresql://u@%2Frun%2Fpostgresql/name", {"HOST": "/run/postgresql"}),
    ("postgresql://u@/name?host=/run/postgresql", {"HOST": "/run/postgresql"}),
    ("postgresql:///name", {"HOST": "", "NAME": "name"}),
    ("postgresql://u:p%40%2F%3A%25@host/na%20me", {"PASSWORD": "p@/:%", "NAME": "na me"}),
    ("postgresql://u:$HOME#?\\'\"ü@host/name", {"PASSWORD": "$HOME#?\\'\"ü"}),
    ("host=h port=5433 user=u dbname=name password='a b\\'c'", {"PASSWORD": "a b'c", "PORT": "5433"}),
    ("postgresql://u@host", {"NAME": "u"}),
]


@pytest.mark.parametrize(("url", "expected"), FORMS)
def test_every_form_that_libpq_takes_is_read_as_libpq_does(url: str, expected: dict[str, str]) -> None:
    assert read_url(url).items() >= expected.items()


def test_options_of_the_url_win_over_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    options = read_url("postgresql://u@h/n?connect_timeout=3&application_name=x&sslmode=require")["OPTIONS"]
    assert options.items() >= {"connect_timeout": "3", "application_name": "x", "sslmode": "require"}.items()
    assert options["keepalives_idle"] == "5", "a default that the URL leaves alone"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "4")
    assert "connect_timeout" not in read_url("postgresql://u@h/n")["OPTIONS"], "libpq reads the variable itself"


def settings_of(url: str) -> dict[str, str]:
    settings: dict[str, str] = read_url(url)["OPTIONS"]["session_settings"]
    return settings


@pytest.mark.parametrize(
    "options", ["-csearch_path=a\\ b", "-c search_path=a\\ b", "--search-path=a\\ b", "-c jit=off -c search_path=a\\ b"]
)
def test_settings_of_the_server_are_read_in_each_spelling(options: str) -> None:
    assert settings_of(f"dbname=n options='{options.replace(chr(92), chr(92) * 2)}'")["search_path"] == "a b"


def test_a_setting_in_the_url_wins_over_ours_and_pgoptions_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of("postgresql://u@h/n")["statement_timeout"] == "0"
    assert settings_of("postgresql://u@h/n?options=-cstatement_timeout%3D9")["statement_timeout"] == "9"
    monkeypatch.setenv("PGOPTIONS", "-c search_path=other")
    assert settings_of("postgresql://u@h/n")["search_path"] == "other"


def test_a_service_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = tmp_path / "pg_service.conf"
    services.write_text("[indexer]\nhost=h\ndbname=from_service\noptions=-csearch_path=a\nconnect_timeout=7\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    read = read_url("postgresql:///?service=indexer")
    assert read["NAME"] == "from_service"
    assert read["OPTIONS"]["service"] == "indexer"
    assert read["OPTIONS"]["session_settings"]["search_path"] == "a"
    assert "connect_timeout" not in read["OPTIONS"]


REFUSED: list[tuple[str, str]] = [
    ("mysql://u:hunter2@h/n", "'mysql'"),
    ("jdbc:postgresql://h/n?password=hunter2", "no scheme"),
    ("hunter2", "neither a URL nor key=value"),
    ('"postgresql://u:hunter2@h/n"', "no scheme"),
    ("hunter2://u@h/n", "hunter2"),
    ("postgresql://u:hunter2@x@h/n", "%-encode"),
    ("postgresql://u:hunter2/x@h/n", "%-encode"),
    ("postgresql://u:hunter2%zz@h/n", "percent-encoded token"),
    ("postgresql://u:hunter2 x@h/n", "spaces"),
    ("postgresql://u:hunter2\nx@h/n", "control character"),
    ("postgresql://u:p@h:65536/n", "port"),
    ("postgresql://u:p@h1,h2,h3/n?port=1,2", "3 hosts and 2 ports"),
    ("postgresql://u:hunter2@h/n?colour=blue", "URI query parameter"),
    ("postgresql://u:p@h/n?sslmode=yes", "sslmode is not one of"),
    ("postgresql://u:p@h/n?connect_timeout=soon", "connect_timeout is not a whole number"),
    ("postgresql://u:p@h/n?client_encoding=LATIN1", "client_encoding is not one of"),
    ("postgresql://u:p@h/n?options=-cDateStyle%3DGerman", "datestyle"),
    ("postgresql://u:p@h/n?options=-B%20100", "'-B'"),
    ("host=h dbnam=hunter2", "connection option"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_what_cannot_be_meant_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(UrlUnreadable) as refused:
        read_url(url)
    assert reason in str(refused.value)
    if "hunter2" not in reason:
        assert "hunter2" not in str(refused.value)


def test_reading_a_url_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("PGSERVICE", "mine")
    before: dict[str, Any] = dict(os.environ)
    read_url("postgresql:///n?service=other")
    assert dict(os.environ) == before
