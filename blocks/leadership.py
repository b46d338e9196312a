"""One synchronizer at a time: an advisory lock on the connection that writes, so losing one is losing both.

A leader that is dead for its host (frozen, or cut off from the network) keeps its lock: the server still sees the
connection. So a leader also shows signs of life, on a second connection; a standby that misses them ends the leader's
writing connection, and whoever has lost it cannot write.
"""

import logging
import threading

import psycopg
from django.db import Error, connection
from django.db.backends.utils import CursorWrapper

from blocks.connecting import connect
from postgres import session
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

_LOCK = 0x676E6F  # "gno"
# Together under two seconds from a leader's last sign of life to the next leader.
LOOK_SECONDS = 0.2
BEAT_SECONDS = 0.2
DEAD_AFTER_SECONDS = 1.0
_HEARTBEAT = "gno-indexer heartbeat of "

# The lock's holder, unless its heartbeat's last statement is fresh. pg_stat_activity shows a role its own sessions.
_SILENT_LEADER = """
SELECT lock.pid FROM pg_locks AS lock
JOIN pg_database AS own ON own.oid = lock.database AND own.datname = current_database()
WHERE lock.locktype = 'advisory' AND lock.granted AND lock.classid = 0 AND lock.objid = %s AND lock.pid NOT IN (
    SELECT substr(application_name, %s)::int FROM pg_stat_activity
    WHERE application_name LIKE %s AND clock_timestamp() - query_start < make_interval(secs => %s)
)
"""


class Leadership:
    """The right to write, waited for and kept alive."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._heart: threading.Thread | None = None
        self._led = False

    def wait(self, stop: threading.Event) -> bool:
        """Wait to be the one synchronizer that writes; False when told to stop first.

        Raises Django's `Error` when the database is away or cannot be written. That it leads is logged once, also where
        it loses its connection and has the lock again before anybody else.
        """
        waiting = False
        suspect: int | None = None
        while not stop.is_set():
            session.require_writable()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s), pg_backend_pid()", [_LOCK])
                locked, pid = cursor.fetchone()
                if locked:
                    self._beat(pid)
                    if not self._led:
                        logger.info("Synchronizer leads")
                    self._led = True
                    return True
                suspect = self._end_silent_leader(cursor, suspect)
            if not waiting:
                logger.info("Synchronizer stands by: another one writes")
            waiting, self._led = True, False
            stop.wait(LOOK_SECONDS)
        return False

    def _end_silent_leader(self, cursor: CursorWrapper, suspect: int | None) -> int | None:
        """End the writing connection of a leader that was silent at the last look too; returns who is suspected now."""
        cursor.execute(_SILENT_LEADER, [_LOCK, len(_HEARTBEAT) + 1, f"{_HEARTBEAT}%", DEAD_AFTER_SECONDS])
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
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
            except Error:
                connection.close()
        self._stop_heart()

    def lose(self) -> None:
        """The writing connection is lost, and the lock with it."""
        connection.close()
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
            with connect(application_name=f"{_HEARTBEAT}{pid}") as alive:
                while not ended.is_set():
                    alive.execute("SELECT 1")
                    outage.over()
                    ended.wait(BEAT_SECONDS)
        except psycopg.Error as error:
            outage.met(error)
            ended.wait(BEAT_SECONDS)
