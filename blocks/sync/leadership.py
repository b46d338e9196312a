"""One synchronizer at a time: an advisory lock on the connection that writes, so losing one is losing both.

That the lock is on the connection that writes is proven, at the start and in each transaction that stores: behind a
pooler that gives transactions to any session, it is not, and then nothing is written (`TransactionPooling`).

A leader that is dead for its host (frozen, or cut off from the network) keeps its lock: the server still sees the
connection. So a leader also shows signs of life, on a second connection; a standby that misses them ends the leader's
writing connection, and whoever has lost it cannot write.
"""

import logging
import threading
from collections.abc import Callable

import psycopg
from django.db import Error, OperationalError, connection
from django.db.backends.utils import CursorWrapper

from postgres.connections import connect, require_writable
from postgres.locks import Lock
from postgres.outage_log import OutageLog
from postgres.pooling import TransactionPooling, require_session

logger = logging.getLogger(__name__)

# Together under two seconds from a leader's last sign of life to the next leader.
LOOK_SECONDS = 0.2
BEAT_SECONDS = 0.2
DEAD_AFTER_SECONDS = 1.0
_HEARTBEAT = "gno-indexer heartbeat of "

_HELD_HERE = f"EXISTS (SELECT FROM pg_locks AS lock WHERE {Lock.SYNCHRONIZER.held} AND lock.pid = pg_backend_pid())"

# A session may take its own lock again, so first it is seen that another client has not taken it in this one.
_TAKE = f"""
SELECT held, NOT held AND pg_try_advisory_lock({Lock.SYNCHRONIZER.key}), pg_backend_pid()
FROM (SELECT {_HELD_HERE} AS held OFFSET 0) AS here
"""  # noqa: S608  # our own constants

# The lock's holder, unless its heartbeat's last statement is fresh. pg_stat_activity shows sessions of a role whose
# rights one has; of others nothing can be seen, and they cannot be ended.
_SILENT_LEADER = f"""
SELECT lock.pid FROM pg_locks AS lock JOIN pg_stat_activity AS leader USING (pid)
WHERE {Lock.SYNCHRONIZER.held} AND pg_has_role(leader.usesysid, 'USAGE') AND NOT EXISTS (
    SELECT FROM pg_stat_activity AS heartbeat
    WHERE starts_with(heartbeat.application_name, %s || lock.pid || ';')
    AND clock_timestamp() - heartbeat.query_start < make_interval(secs => %s)
)
"""  # noqa: S608  # the same

_thread = threading.local()


class LeadershipLost(OperationalError):
    """The writing connection was lost and made again, so what is being written is another leader's to write."""


def verify_leadership() -> None:
    """In the transaction that stores: prove that the lock of this thread's `Leadership` is on its connection.

    A thread that never led (`resync`, which corrects beside the leader) has nothing to prove. Raises `LeadershipLost`
    or, where the connection is the one that took the lock, `TransactionPooling`.
    """
    led: object = getattr(_thread, "connection", None)
    if led is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_HELD_HERE}")
        (held,) = cursor.fetchone()
    if connection.connection is not led:
        raise LeadershipLost("the connection that held the lock of the synchronizer was lost")
    if not held:
        raise TransactionPooling


class Leadership:
    """The right to write, waited for and kept alive."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None
        self._led = False

    def wait(self, stop: threading.Event, on_standby: Callable[[], None] = lambda: None) -> bool:
        """Wait to be the one synchronizer that writes; False when told to stop first.

        `on_standby` is called again and again while another one writes. Raises Django's `Error` when the database is
        away or cannot be written, and `TransactionPooling` where no process can be the only one. That it leads is
        logged once, also where it loses its connection and has the lock again before any other.
        """
        waiting = False
        suspect: int | None = None
        require_session()
        while not stop.is_set():
            require_writable()
            with connection.cursor() as cursor:
                cursor.execute(_TAKE)
                held, locked, pid = cursor.fetchone()
                if held:
                    raise TransactionPooling
                if locked:
                    _thread.connection = connection.connection
                    self._beat(pid)
                    if not self._led:
                        logger.info("Synchronizer leads")
                    self._led = True
                    return True
                suspect = self._end_silent_leader(cursor, suspect)
            if not waiting:
                logger.info("Synchronizer stands by: another one writes")
            waiting, self._led = True, False
            on_standby()
            stop.wait(LOOK_SECONDS)
        return False

    def _end_silent_leader(self, cursor: CursorWrapper, suspect: int | None) -> int | None:
        """End the writing connection of a leader that was silent at the last look too; returns who is suspected now."""
        cursor.execute(_SILENT_LEADER, [_HEARTBEAT, DEAD_AFTER_SECONDS])
        row = cursor.fetchone()
        if row and row[0] == suspect:
            logger.warning("Leader is silent, its connection is ended backend=%d", suspect)
            cursor.execute("SELECT pg_terminate_backend(%s)", [suspect])
        return row[0] if row else None

    def resign(self) -> None:
        """Give the lock back and stop showing signs of life."""
        if self._heart is not None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute(f"SELECT pg_advisory_unlock({Lock.SYNCHRONIZER.key})")
            except Error:
                connection.close()
        _thread.connection = None
        self._stop_heart()

    def lose(self) -> None:
        """The writing connection is lost, and the lock with it."""
        connection.close()
        _thread.connection = None
        self._stop_heart()

    def _stop_heart(self) -> None:
        self._ended.set()
        if self._heart is not None:
            self._heart.join(timeout=5)
            self._heart = None

    def _beat(self, pid: int) -> None:
        self._stop_heart()
        self._ended = threading.Event()
        self._heart = threading.Thread(target=_show_life, args=[pid, self._ended], name="heartbeat", daemon=True)
        self._heart.start()


def _show_life(pid: int, ended: threading.Event) -> None:
    outage = OutageLog(logger, "Heartbeat connection lost", "Heartbeat goes on")
    while not ended.is_set():
        try:
            with connect(application_name=f"{_HEARTBEAT}{pid};") as alive:
                while not ended.is_set():
                    alive.execute("SELECT 1")
                    outage.over()
                    ended.wait(BEAT_SECONDS)
        except psycopg.Error as error:
            outage.met(error)
            ended.wait(BEAT_SECONDS)
