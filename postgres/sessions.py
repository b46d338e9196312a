"""Connections whose settings hold, through a pooler too.

Settings go to the server with the connection, as `options`. A pooler refuses these, or drops them without a word; then
every transaction begins with them instead, in the same message as its first statement, so that it takes no time on the
way, and whichever of the server's processes it reaches.
"""

import re
from collections.abc import Mapping
from typing import Any, Self, cast

import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

_MARK = "gno_indexer.session"
"""A setting of this project alone, sent with the others: where the server shows it, it has taken them all."""

_KEPT_BY_POOLERS = {
    "datestyle": "DateStyle",
    "timezone": "TimeZone",
    "standard_conforming_strings": "standard_conforming_strings",
}
"""What PostgreSQL reports to its clients, in its own spelling, and poolers of every age keep for each of them."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][A-Za-z0-9_.$-]*)=(.*)", re.DOTALL)


class OptionsUnknown(ValueError):
    """Options of the server that are no settings; the message has the first one's name."""


def parse_options(options: str) -> dict[str, str]:
    """The settings in libpq's `options`: `-c name=value` and `--name=value`, a backslash before what is literal.

    Raises `OptionsUnknown`.
    """
    words = [
        re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in re.findall(r"(?:\\.|[^\s\\])+", options, re.DOTALL)
    ]
    settings: dict[str, str] = {}
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            word += words.pop(0)
        match = _OPTION.fullmatch(word)
        if match is None:
            raise OptionsUnknown(word.split("=", 1)[0])
        name, value = match.groups()
        settings[name.replace("-", "_") if word.startswith("--") else name] = value
    return settings


def write_options(settings: Mapping[str, str]) -> str:
    """The inverse of `parse_options`."""
    return " ".join("-c " + re.sub(r"([\\\s])", r"\\\1", f"{name}={value}") for name, value in settings.items())


def refuses_options(error: psycopg.Error) -> bool:
    """Whether a pooler refuses the connection for its `options`, which a server takes."""
    return any(part in str(error) for part in ("startup parameter", "command-line options"))


class SessionConnection(psycopg.Connection[Any]):
    """`per_transaction`: what each transaction begins with; empty where the server has taken the settings."""

    per_transaction: tuple[str, ...] = ()

    @classmethod
    def connect(  # type: ignore[override]  # everything else as psycopg has it
        cls, conninfo: str = "", *, session_settings: Mapping[str, str] | None = None, **parameters: Any
    ) -> Self:
        """Connect with `session_settings` in force. Raises `psycopg.OperationalError`."""
        if not session_settings:
            return super().connect(conninfo, **parameters)
        options = write_options({**session_settings, _MARK: "1"})
        try:
            made = super().connect(conninfo, **{**parameters, "options": options})
        except psycopg.OperationalError as error:
            if not refuses_options(error):
                raise
            made = super().connect(conninfo, **parameters)
        try:
            made._have_in_force(session_settings)
        except psycopg.Error:
            made.close()
            raise
        return made

    def begin(self) -> None:
        """Have the settings in force before what is no ordinary statement: COPY, a cursor of the server's."""
        if self.per_transaction and not self.autocommit and _idle(self):
            self.execute("")

    def _have_in_force(self, settings: Mapping[str, str]) -> None:
        # PostgreSQL 17 is the first that can end any transaction after a time, and that knows this setting.
        newer = {"transaction_timeout": "0"} if self.info.server_version >= 170_000 else {}
        newer = {name: value for name, value in newer.items() if name not in settings}
        also = "".join(f", set_config('{name}', '{value}', false)" for name, value in newer.items())
        mark = f"SELECT mark{also} FROM current_setting('{_MARK}', true) AS mark WHERE mark = '1'"  # noqa: S608  # ours
        if self._run(mark).ntuples == 1:
            return
        for name, value in {**settings, **newer}.items():
            if name not in _KEPT_BY_POOLERS:
                self.per_transaction += (_statement("SET LOCAL", name, value),)
            elif self.info.parameter_status(_KEPT_BY_POOLERS[name]) != value:
                self._run(_statement("SET", name, value))
        self.cursor_factory = PerTransactionCursor

    def _run(self, query: str) -> PGresult:
        result = self.pgconn.exec_(query.encode())
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
        return result


class PerTransactionCursor(psycopg.ClientCursor[Any]):
    """A cursor whose first statement of each transaction, and each statement outside of one, brings the settings."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        if not _idle(self.connection):
            return super().execute(query, params, **options)
        settings = cast(SessionConnection, self.connection).per_transaction
        text = query.as_string(self.connection) if isinstance(query, sql.Composable) else query
        before = "".join(f"{each};" for each in settings)
        if params is not None:
            before = before.replace("%", "%%")
        super().execute(before + (text.decode() if isinstance(text, bytes) else text), params, **options)
        for _ in settings:
            self.nextset()
        return self

    def copy(self, *arguments: Any, **options: Any) -> Any:
        cast(SessionConnection, self.connection).begin()
        return super().copy(*arguments, **options)


def _idle(connection: "psycopg.Connection[Any]") -> bool:
    return connection.pgconn.transaction_status == TransactionStatus.IDLE


def _statement(command: str, name: str, value: str) -> str:
    # Of this transaction, not of those that begin later.
    name = "transaction_read_only" if name == "default_transaction_read_only" else name
    path = sql.SQL(".").join(map(sql.Identifier, name.lower().split(".")))
    return f"{command} {path.as_string(None)} = {sql.Literal(value).as_string(None)}"
