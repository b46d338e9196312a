"""The classification of database errors: every SQLSTATE class, bare or wrapped by Django, and the outage log."""

import logging

import psycopg
import pytest
from django import db
from django.db import connection
from psycopg.errors import lookup
from psycopg_pool import PoolTimeout

from postgres import outage_log
from postgres.errors import Reaction, blames_row, divisible, reaction, sqlstate
from postgres.outage_log import OutageLog

WAIT, SMALLER, DIVIDE, MIGRATE, GIVE_UP = Reaction

TABLE = {
    "08006": WAIT,  # connection_failure
    "08P01": WAIT,  # protocol_violation: how pgbouncer says that it waited too long for a server
    "0A000": WAIT,  # feature_not_supported: "cached plan must not change result type" after a migration
    "21000": DIVIDE,  # cardinality_violation
    "22001": DIVIDE,  # string_data_right_truncation
    "22021": DIVIDE,  # character_not_in_repertoire
    "23505": DIVIDE,  # unique_violation
    "25006": WAIT,  # read_only_sql_transaction
    "25P02": WAIT,  # in_failed_sql_transaction
    "25P03": WAIT,  # idle_in_transaction_session_timeout
    "25P04": WAIT,  # transaction_timeout
    "26000": WAIT,  # invalid_sql_statement_name: a pooler gave another session
    "28000": WAIT,  # invalid_authorization_specification: it may be rotated
    "28P01": WAIT,  # invalid_password
    "3D000": WAIT,  # invalid_catalog_name: the database is being made anew
    "3F000": MIGRATE,  # invalid_schema_name
    "40001": WAIT,  # serialization_failure, and a conflict with recovery on a standby
    "40P01": WAIT,  # deadlock_detected
    "42501": WAIT,  # insufficient_privilege
    "42601": GIVE_UP,  # syntax_error
    "42804": GIVE_UP,  # datatype_mismatch
    "42703": MIGRATE,  # undefined_column
    "42883": MIGRATE,  # undefined_function
    "42P01": MIGRATE,  # undefined_table
    "42P05": WAIT,  # duplicate_prepared_statement: a pooler's
    "42P10": MIGRATE,  # invalid_column_reference: ON CONFLICT before a restore has made its index
    "44000": DIVIDE,  # with_check_option_violation
    "53000": WAIT,  # insufficient_resources
    "53100": WAIT,  # disk_full
    "53200": SMALLER,  # out_of_memory
    "53300": WAIT,  # too_many_connections
    "53400": SMALLER,  # configuration_limit_exceeded
    "54000": DIVIDE,  # program_limit_exceeded
    "54001": DIVIDE,  # statement_too_complex
    "55006": WAIT,  # object_in_use
    "55P03": WAIT,  # lock_not_available
    "57014": SMALLER,  # query_canceled
    "57P01": WAIT,  # admin_shutdown
    "57P02": WAIT,  # crash_shutdown
    "57P03": WAIT,  # cannot_connect_now: starting up, shutting down, in recovery
    "57P04": WAIT,  # database_dropped
    "57P05": WAIT,  # idle_session_timeout
    "58030": WAIT,  # io_error
    "72000": WAIT,  # snapshot_too_old
    "P0001": WAIT,  # raise_exception: a guard that an operator wrote as a trigger
    "XX000": WAIT,  # internal_error, and whatever a provider's proxy says
    "XX001": WAIT,  # data_corrupted
}


@pytest.mark.parametrize(("state", "expected"), TABLE.items())
def test_an_error_is_classified_by_its_sqlstate_bare_and_wrapped(state: str, expected: Reaction) -> None:
    bare = lookup(state)("refused")
    with pytest.raises(db.Error) as wrapped, connection.wrap_database_errors:
        raise bare
    assert sqlstate(bare) == sqlstate(wrapped.value) == state
    assert reaction(bare) is reaction(wrapped.value) is expected
    assert divisible(wrapped.value) is (expected in (SMALLER, DIVIDE))
    assert blames_row(wrapped.value) is (expected is DIVIDE)


def test_an_sqlstate_that_nobody_knows_is_waited_for() -> None:
    class FromAProvider(psycopg.DatabaseError):
        sqlstate = "ZZ999"

    assert reaction(FromAProvider("compute node is disabled")) is WAIT


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (psycopg.OperationalError("connection refused"), WAIT),
        (psycopg.errors.ConnectionTimeout("connection timeout expired"), WAIT),
        (PoolTimeout("couldn't get a connection after 5.00 sec"), WAIT),
        (db.InterfaceError("connection already closed"), WAIT),
        (db.OperationalError("query_wait_timeout"), WAIT),
        (db.InternalError("?"), WAIT),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), DIVIDE),
        (db.IntegrityError("?"), DIVIDE),
        (db.ProgrammingError("the last operation didn't produce a result"), GIVE_UP),
        (db.NotSupportedError("?"), GIVE_UP),
    ],
    ids=repr,
)
def test_an_error_without_sqlstate_is_classified_by_its_class(
    error: db.Error | psycopg.Error, expected: Reaction
) -> None:
    assert reaction(error) is expected


@pytest.mark.db
@pytest.mark.django_db
def test_a_session_that_is_gone_is_no_reason_to_try_parts() -> None:
    """Parts tried in another session would be tried without the locks of this one."""
    from postgres.connections import connect

    with connect() as alive, pytest.raises(psycopg.errors.QueryCanceled) as cancelled:
        alive.execute("DO $$ BEGIN RAISE 'stop' USING ERRCODE = '57014'; END $$")
    assert reaction(cancelled.value) is SMALLER
    with connect() as ended, pytest.raises(psycopg.Error) as gone:
        ended.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert reaction(gone.value) is WAIT


# The outage log


@pytest.fixture
def outage(caplog: pytest.LogCaptureFixture) -> OutageLog:
    caplog.set_level(logging.INFO)
    return OutageLog(logging.getLogger("loop"), "Loop waits", "Loop goes on")


def of_state(state: str) -> psycopg.Error:
    return lookup(state)(f"error {state}")


def test_an_outage_is_two_lines_however_often_it_is_tried(outage: OutageLog, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        outage.met(of_state("25006"))
    outage.over()
    outage.over()
    assert [record.message for record in caplog.records] == ["Loop waits error=error 25006", "Loop goes on"]


def test_an_outage_that_lasts_is_told_again_with_its_latest_error(
    outage: OutageLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 59.0, 60.0, 119.0, 121.0])
    monkeypatch.setattr("postgres.outage_log.time.monotonic", lambda: next(now))
    for state in ("57P01", "57P01", "25006", "25006", "53100"):
        outage.met(of_state(state))
    assert [record.message for record in caplog.records] == [
        "Loop waits error=error 57P01",
        "Loop waits still seconds=60 error=error 25006",
        "Loop waits still seconds=121 error=error 53100",
    ]
    assert outage_log.REMIND_SECONDS == 60.0


def test_a_missing_table_ends_a_process_at_its_start_and_is_waited_for_later(outage: OutageLog) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        outage.met(of_state("42P01"))
    outage.over()
    outage.met(of_state("42P01"))  # being restored


def test_a_wrong_statement_ends_the_process(outage: OutageLog) -> None:
    outage.over()
    with pytest.raises(psycopg.errors.SyntaxError):
        outage.met(of_state("42601"))
