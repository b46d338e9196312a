"""Advisory locks: every number of the project, in a key space of each deployment's own, and what bounds frozen holders.

PostgreSQL keeps advisory locks by database. Two deployments in two schemas of one database are told apart by the first
of the two keys, the id of the table of migrations, which each of them has and every process of it resolves to the same
table. So one deployment never waits for the locks of another, and a lock that another program takes is no lock of ours.

A transaction that is silent is ended by `idle_in_transaction_session_timeout`, a session that is silent while it holds
a lock of its own by `idle_session_timeout`. Neither ends a statement that waits for its client: a COPY that is sent
nothing more, a result that is not taken. Processors end those (`end_stuck_holders`).
"""

import logging
from enum import IntEnum

from django.db import connection

logger = logging.getLogger(__name__)

FROZEN_SECONDS = 60
"""A process that sends nothing for so long is taken for frozen: it loses its locks, and the session with them."""

_NAMESPACE = "'django_migrations'::regclass::oid"


class Lock(IntEnum):
    """What is locked, and the second key."""

    SYNCHRONIZER = 0x676E6F00
    """Held by the session that stores windows (`blocks.sync.leadership`)."""
    GATE = 0x676E6F01
    """Shared by transactions that apply messages, exclusive to one that corrects (`events.ledger_lock`)."""
    CORRECTION = 0x676E6F02
    """Held by the session that corrects, for all of its transactions (`events.ledger_lock`)."""
    CHECKPOINTS = 0x676E6F04
    """Held by a transaction that makes checkpoints (`balances.history.checkpoints`)."""

    @property
    def key(self) -> str:
        """The arguments of PostgreSQL's `pg_advisory_…` functions, as SQL."""
        return f"{_NAMESPACE}::int4, {self.value}"

    @property
    def held(self) -> str:
        """The condition on a row of `pg_locks AS lock` that this lock is held, as SQL."""
        return f"{_OWN} AND lock.objid = {self.value}"


_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
_OWN = (
    f"lock.locktype = 'advisory' AND lock.granted AND lock.database = {_DATABASE}"
    f" AND lock.classid = {_NAMESPACE} AND lock.objsubid = 2"
)
"""The condition on a row of `pg_locks AS lock` that it is one of this deployment's locks that is held."""

# State "active" and waiting for its client: in the middle of a COPY or of a result. The project's own sessions under a
# lock send and take such things in a second or so. A silent leader is ended by a standby (`blocks.sync.leadership`).
_STUCK = f"""
SELECT pid FROM pg_stat_activity AS holder
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND wait_event_type = 'Client'
AND clock_timestamp() - query_start > make_interval(secs => %s)
AND EXISTS (SELECT FROM pg_locks AS lock WHERE lock.pid = holder.pid AND {_OWN}
            AND lock.objid <> {Lock.SYNCHRONIZER.value})
"""  # noqa: S608  # our own constants


def try_lock_session(lock: Lock) -> bool:
    """Take a lock until `unlock_session` or the session's end; False when another session has it.

    While it is held, the session is ended when it sends nothing for `FROZEN_SECONDS`.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_try_advisory_lock({lock.key})")
        locked: bool = cursor.fetchone()[0]
        if locked:
            _limit_silence(FROZEN_SECONDS)
        return locked


def unlock_session(lock: Lock) -> None:
    """Give back a lock of `try_lock_session`."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_unlock({lock.key})")
    _limit_silence(0)


def end_stuck_holders() -> int:
    """End the sessions that hold one of the project's locks and wait for a client that is frozen; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_STUCK, [FROZEN_SECONDS])
        stuck = [row[0] for row in cursor.fetchall()]
        for pid in stuck:
            logger.warning("A frozen process holds a lock, its session is ended backend=%d", pid)
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(stuck)


def _limit_silence(seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [f"{seconds}s"])
