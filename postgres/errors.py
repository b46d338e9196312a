"""Classification of database errors: what a process does about one, by its SQLSTATE or, without one, by its class.

SQLSTATEs are those of PostgreSQL's appendix "Error Codes" and of the poolers and proxies in front of it. What is not
listed is waited for: a process that goes on trying loses nothing, and its log names the error.
"""

from enum import Enum

import psycopg
from django import db


class Reaction(Enum):
    """What helps against an error."""

    WAIT = "wait"
    """The database is away, busy, full, read-only or being restored: try the same again, in a new session."""
    SMALLER = "smaller"
    """A statement is too large for a limit of the server: try parts of it, and wait when nothing can be divided."""
    DIVIDE = "divide"
    """One of the rows is to blame: try parts of them, and set aside the one that the database refuses alone."""
    MIGRATE = "migrate"
    """A table or a column is not there: at the start run `manage.py migrate`; later, wait for a restore to end."""
    GIVE_UP = "give up"
    """The statement itself is wrong, which no waiting mends."""


_MISSING_OBJECTS = frozenset(
    {
        "3F000",  # invalid_schema_name
        "42P01",  # undefined_table
        "42P10",  # invalid_column_reference: ON CONFLICT without its constraint, which pg_restore makes last
        "42703",  # undefined_column
        "42704",  # undefined_object
        "42883",  # undefined_function
    }
)
_TOO_LARGE = frozenset(
    {
        "53200",  # out_of_memory
        "53400",  # configuration_limit_exceeded: temp_file_limit
        "57014",  # query_canceled: statement_timeout, or a person or a guard that ends long statements
    }
)
_OF_CLASS = {
    "21": Reaction.DIVIDE,  # cardinality_violation: one row twice in one statement
    "22": Reaction.DIVIDE,  # data_exception
    "23": Reaction.DIVIDE,  # integrity_constraint_violation
    "44": Reaction.DIVIDE,  # with_check_option_violation
    "54": Reaction.DIVIDE,  # program_limit_exceeded: too long for an index, nested too deep, over 1 GB
    "42": Reaction.GIVE_UP,  # syntax_error_or_access_rule_violation, but for those in `_WAITED_FOR`
}
_WAITED_FOR = frozenset(
    {
        "42501",  # insufficient_privilege: a GRANT is missing, or comes at the end of a restore
        "42710",  # duplicate_object, 42P07 duplicate_table: two sessions made the same thing at once
        "42P03",  # duplicate_cursor, 42P05 duplicate_prepared_statement: left behind in a pooler's session
        "42P05",
        "42P07",
    }
)


def sqlstate(error: BaseException | None) -> str:
    """The SQLSTATE of an error of psycopg or of Django; "" where the server did not send one."""
    found = _of_psycopg(error)
    return (found.sqlstate if found is not None else None) or ""


def reaction(error: db.Error | psycopg.Error) -> Reaction:
    """What to do about `error`, raised by Django or by psycopg itself, from a synchronous or an async connection."""
    found = _of_psycopg(error)
    state = sqlstate(error)
    if not state:
        return _without_sqlstate(found or error)
    if found is not None and found.diag.severity_nonlocalized in ("FATAL", "PANIC"):
        return Reaction.WAIT  # the session is gone, and with it the locks under which parts could be tried
    if state in _MISSING_OBJECTS:
        return Reaction.MIGRATE
    if state in _WAITED_FOR:
        return Reaction.WAIT
    if state in _TOO_LARGE:
        return Reaction.SMALLER
    return _OF_CLASS.get(state[:2], Reaction.WAIT)


def divisible(error: db.Error | psycopg.Error) -> bool:
    """Whether parts of what was refused may be accepted."""
    return reaction(error) in (Reaction.SMALLER, Reaction.DIVIDE)


def blames_row(error: db.Error | psycopg.Error) -> bool:
    """Whether what is refused alone will be refused again: it is set aside, so that it stops nothing else."""
    return reaction(error) is Reaction.DIVIDE


def first_line(error: BaseException) -> str:
    """An error in one line, for a log or a terminal."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _without_sqlstate(error: BaseException) -> Reaction:
    """Errors of the client's side: a connection that failed, a value that cannot be sent, a misuse."""
    if isinstance(error, (db.DataError, db.IntegrityError, psycopg.DataError, psycopg.IntegrityError)):
        return Reaction.DIVIDE  # a character that PostgreSQL does not store
    misuse = (db.ProgrammingError, db.NotSupportedError, psycopg.ProgrammingError, psycopg.NotSupportedError)
    return Reaction.GIVE_UP if isinstance(error, misuse) else Reaction.WAIT


def _of_psycopg(error: BaseException | None) -> psycopg.Error | None:
    """The error of psycopg itself, which Django chains as the cause of its own."""
    while error is not None and not isinstance(error, psycopg.Error):
        error = error.__cause__
    return error
