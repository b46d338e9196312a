"""Advisory locks of PostgreSQL, and what bounds how long a frozen process keeps one.

A transaction that is silent is ended by `idle_in_transaction_session_timeout`, a session that is silent while it holds
a lock of its own by `idle_session_timeout`. Neither ends a statement that waits for its client: a COPY that is sent
nothing more, a result that is not taken. Processors end those (`end_stuck_holders`).
"""

import logging

from django.db import connection

logger = logging.getLogger(__name__)

FAMILY = 0x676E6F
"""First key of the project's locks of two keys: "gno"."""

FROZEN_SECONDS = 60
"""A process that says nothing for so long is taken for frozen: it loses its locks, and the session with them."""

# State "active" and waiting for its client: in the middle of a COPY or of a result. The project's own sessions under a
# lock send and take such things in a second or so.
_STUCK = """
SELECT pid FROM pg_stat_activity AS holder
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND wait_event_type = 'Client'
AND clock_timestamp() - query_start > make_interval(secs => %s)
AND EXISTS (SELECT FROM pg_locks AS lock WHERE lock.pid = holder.pid AND locktype = 'advisory' AND granted
            AND classid::bigint = %s)
"""


def try_lock_session(key: int) -> bool:
    """Take a lock until `unlock_session` or the session's end; False when another session has it.

    While it is held, the session is ended when it says nothing for `FROZEN_SECONDS`.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [FAMILY, key])
        locked: bool = cursor.fetchone()[0]
        if locked:
            _limit_silence(FROZEN_SECONDS)
        return locked


def unlock_session(key: int) -> None:
    """Give back a lock of `try_lock_session`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [FAMILY, key])
    _limit_silence(0)


def end_stuck_holders() -> int:
    """End the sessions that hold one of the project's locks and wait for a client that is frozen; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_STUCK, [FROZEN_SECONDS, FAMILY])
        stuck = [row[0] for row in cursor.fetchall()]
        for pid in stuck:
            logger.warning("A frozen process holds a lock, its session is ended backend=%d", pid)
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    return len(stuck)


def _limit_silence(seconds: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [f"{seconds}s"])
