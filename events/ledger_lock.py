"""The gate between processors, which pass any number at once, and a correction, which wants the ledger for itself.

An advisory lock of PostgreSQL, held to the end of the caller's transaction. It is taken before any row is, so whoever
holds it never waits for somebody who waits for it. What is read after it was taken is as those before have left it:
that is so in transactions that are READ COMMITTED, PostgreSQL's default.

It is not held for ever: the server ends the transaction of a process that is frozen between two statements, and
`postgres.locks` the session of one that is frozen within a statement.
"""

from django.db import connection

from postgres.locks import FROZEN_SECONDS, Lock, try_lock_session, unlock_session

IDLE_SECONDS = float(FROZEN_SECONDS)
"""Who has taken the lock and says nothing for so long loses transaction and connection; a batch takes half a second."""

END_WHEN_IDLE = "set_config('idle_in_transaction_session_timeout', %s, true)"


def pass_through() -> None:
    """Hold the gate open while the caller's transaction applies messages; waits while a correction has closed it."""
    with connection.cursor() as cursor:
        lock = f"pg_advisory_xact_lock_shared({Lock.GATE.key})"
        cursor.execute(f"SELECT {END_WHEN_IDLE}, {lock}", [f"{IDLE_SECONDS}s"])


def close(seconds: float) -> None:
    """Keep every processor out until the caller's transaction ends.

    Waits `seconds` at most, for this and for every lock that the transaction asks for later: processors stand behind
    whoever waits here. Raises Django's `OperationalError` after that.
    """
    with connection.cursor() as cursor:
        limits = [f"{IDLE_SECONDS}s", f"{seconds}s"]
        cursor.execute(f"SELECT {END_WHEN_IDLE}, set_config('lock_timeout', %s, true)", limits)
        cursor.execute(f"SELECT pg_advisory_xact_lock({Lock.GATE.key})")


def begin_correction() -> bool:
    """Be the one correction of this database, until `end_correction` or the session's end; False: another one is."""
    return try_lock_session(Lock.CORRECTION)


def end_correction() -> None:
    unlock_session(Lock.CORRECTION)
