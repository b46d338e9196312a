"""A database's URL, or libpq's `key=value` string, as Django's settings: whatever libpq takes, and how it takes it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from postgres.sessions import OptionsUnknown, parse_options

_DEFAULTS = {
    "connect_timeout": "10",
    # A connection that hangs (a server that vanished without a word) is given up within about ten seconds.
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# Whatever the server's defaults are: how values are written and read, what a transaction sees …
_FIXED = {
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "array_nulls": "on",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
# … and that nothing ends what takes its time, but whatever freezes inside a transaction, and holds its locks.
_LIMITS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
}

_WHOLE = ("connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count")
_CHOICES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "gssencmode": ("disable", "prefer", "require"),
    "channel_binding": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
    "client_encoding": ("utf8", "utf-8", "unicode", "auto"),
    "replication": ("false", "off", "no", "0"),
}


class UrlUnreadable(ValueError):
    """A URL that libpq does not take, or takes for something else; the message shows no user, password or address."""


def read_url(url: str) -> dict[str, Any]:
    """Django's settings of the database at `url`, but for the engine. Raises `UrlUnreadable`.

    What the URL leaves out is libpq's default: its environment variables (PGHOST, PGOPTIONS …), its service file, and
    the user's name; then ours. `OPTIONS["session_settings"]` is for `postgres.sessions`.
    """
    given = _parse(url)
    _check(given)
    defaults = _libpq_defaults(given)
    settings = _LIMITS | _settings(given.pop("options", defaults.get("options", ""))) | _FIXED
    name = given.pop("dbname", "") or defaults.get("dbname", "") or given.get("user", "") or defaults.get("user", "")
    if not name:
        raise UrlUnreadable("it names no database")
    given.pop("client_encoding", "")
    return {
        "NAME": name,
        "USER": given.pop("user", ""),
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": given.pop("port", ""),
        "OPTIONS": {
            **{name: value for name, value in _DEFAULTS.items() if not defaults.get(name)},
            **given,
            "session_settings": settings,
        },
    }


def _parse(url: str) -> dict[str, str]:
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise UrlUnreadable("it has a control character, or a line's end inside")
    scheme = re.match(r"([^/?#=\s@]*)://", url)
    if scheme is not None and scheme[1] not in ("postgresql", "postgres"):
        # Of what is no scheme, any part may be a password.
        known = re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,20}", scheme[1])
        raise UrlUnreadable(f"it begins with {scheme[1]!r}" if known else "it begins with no scheme")
    if scheme is None and "=" not in url:
        raise UrlUnreadable("it is neither a URL nor key=value")
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.Error as error:
        # libpq repeats what it could not read.
        reason = re.sub(r'"[^"]*"|".*', "…", str(error).strip(), flags=re.DOTALL)
        raise UrlUnreadable(f"{reason}; in a URL, %-encode what is not a letter, a digit or one of -._~") from None


def _check(given: dict[str, str]) -> None:
    if "@" in given.get("host", "") or ("@" in given.get("dbname", "") and "user" not in given):
        raise UrlUnreadable("user or password has an @, / or : of its own; %-encode it: %40, %2F, %3A")
    hosts, ports = given.get("host", "").split(","), given.get("port", "").split(",")
    if any(port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536) for port in ports):
        raise UrlUnreadable("a port is not a number from 1 to 65535; in user and password, %-encode /, : and @")
    if len(ports) not in (1, len(hosts)):
        raise UrlUnreadable(f"it has {len(hosts)} hosts and {len(ports)} ports")
    for name in (*_WHOLE, "tcp_user_timeout"):
        if name in given and not re.fullmatch(r"-?[0-9]{1,9}", given[name]):
            raise UrlUnreadable(f"{name} is not a whole number")
    for name, choices in _CHOICES.items():
        if name in given and given[name].lower() not in choices:
            raise UrlUnreadable(f"{name} is not one of {', '.join(choices)}")


def _settings(options: str) -> dict[str, str]:
    try:
        settings = {name.lower(): value for name, value in parse_options(options).items()}
    except OptionsUnknown as unknown:
        raise UrlUnreadable(f"options has {str(unknown)!r}, and takes settings as -c name=value") from None
    for name in settings.keys() & _FIXED.keys():
        if settings[name].lower() != _FIXED[name].lower():
            raise UrlUnreadable(f"options sets {name}, which has to be {_FIXED[name]!r}")
    return settings


def _libpq_defaults(given: dict[str, str]) -> dict[str, str]:
    """What libpq would take for what is not given, also by the service that is."""
    with _environment({"PGSERVICE": given.get("service"), "PGSERVICEFILE": given.get("servicefile")}):
        return {each.keyword.decode(): each.val.decode() for each in Conninfo.get_defaults() if each.val}


@contextmanager
def _environment(variables: dict[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update({name: value for name, value in variables.items() if value})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
