"""The list of holders, largest first: brought up to date at once with few transfers, in the background with many.

An index ordered by amount has to follow every change of a balance, which costs twice what the change itself does. So
a large batch (a backfill) changes the balances alone, and says so; every processor with nothing else to do, and one of
them now and then while there is, passes over the balances and puts those that moved in their place. Until then answers
from the list say up to which height it is true. Hand-written SQL lives here.
"""

import logging
import threading
import time
from dataclasses import dataclass

from django.db import connection, transaction

from balances.indexed_height import read_indexed_height
from balances.models import Ranking
from events import ledger_lock
from postgres.locks import Lock, try_lock_session, unlock_session

logger = logging.getLogger(__name__)

AT_ONCE = 20_000
"""Transfers in one batch up to which the list follows in the same database transaction: less than ten full messages."""

CHUNK_PAGES = 500
"""Pages of the table, about 40,000 balances, that one transaction of a pass looks at."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When the next pass may begin: passes take `share` of the time at most, and pause for `seconds` at least."""

    share: float
    seconds: float


BUSY = Pace(0.1, 60.0)
"""With a backlog: answers from the list grow older, and the backlog is what makes them."""
IDLE = Pace(0.5, 0.0)
NOW = Pace(1.0, 0.0)

_DUE = """
SELECT now() >= passed_at + make_interval(secs => greatest(pass_seconds * (1 / %s - 1), %s))
FROM ranking WHERE state <> 'level'
"""

_FALL_BEHIND = """
INSERT INTO ranking AS known (id, state, indexed_height, passed_at)
VALUES (1, 'behind', least(%(indexed)s, %(below)s), now())
ON CONFLICT (id) DO UPDATE SET state = 'behind',
    indexed_height = CASE known.state WHEN 'level' THEN excluded.indexed_height
                                      ELSE least(known.indexed_height, %(below)s) END,
    passing_to = least(known.passing_to, %(below)s),
    passed_at = CASE known.state WHEN 'level' THEN excluded.passed_at ELSE known.passed_at END
WHERE known.state <> 'behind' OR known.indexed_height > %(below)s OR known.passing_to > %(below)s
"""

_PAGES = "SELECT pg_relation_size('balances') / current_setting('block_size')::int"

# The table from end to end, page by page. What moves to a page that was passed already moves because somebody applies
# it, who ranks it himself or says that the list is behind. Rows are locked in the order in which whoever applies does.
_RANK = """
WITH moved AS MATERIALIZED (
    SELECT account_id, token_id FROM balances
    WHERE ctid >= %(first)s::tid AND ctid < %(after)s::tid AND ranked_amount IS DISTINCT FROM amount
    ORDER BY account_id, token_id FOR UPDATE
)
UPDATE balances SET ranked_amount = amount,
    address = coalesce(address, (SELECT accounts.address FROM accounts WHERE accounts.id = balances.account_id))
FROM moved WHERE balances.account_id = moved.account_id AND balances.token_id = moved.token_id
AND ctid >= %(first)s::tid AND ctid < %(after)s::tid
"""


def fall_behind(first_height: int) -> None:
    """Say that the caller's transaction, which has passed the gate, changed balances and not their list.

    `first_height`: the lowest one of what it applies. That is above all that is indexed, but for gaps filled late.
    Said after the balances are changed: a pass may end meanwhile, and this answers to the row that it leaves.
    """
    with connection.cursor() as cursor:
        # Looked at first: the row would be a lock that every processor waits for.
        cursor.execute("SELECT state, greatest(indexed_height, passing_to) FROM ranking")
        row = cursor.fetchone()
        if row is None or row[0] != Ranking.State.BEHIND or row[1] >= first_height:
            cursor.execute(_FALL_BEHIND, {"indexed": read_indexed_height().height, "below": first_height - 1})


def catch_up(stop: threading.Event, pace: Pace, lock_seconds: float = 10.0) -> bool:
    """Bring the list up to date if it is behind, one caller at a time; whether it did.

    Ends early when `stop` is set; the next pass begins anew. Raises Django's `OperationalError` when the processors
    cannot be stopped for a moment.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [pace.share, pace.seconds])
        if cursor.fetchone() != (True,):
            return False
    if not try_lock_session(Lock.RANKING):
        return False
    try:
        return _pass(stop, lock_seconds)
    finally:
        unlock_session(Lock.RANKING)


def _pass(stop: threading.Event, lock_seconds: float) -> bool:
    started = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        # Who applies now is waited for: what he moves is seen. Who begins later and leaves the list behind says so.
        ledger_lock.close(lock_seconds)
        indexed = read_indexed_height().height
        cursor.execute("UPDATE ranking SET state = 'passing', passing_to = %s WHERE state <> 'level'", [indexed])
    ranked = 0
    with connection.cursor() as cursor:
        cursor.execute(_PAGES)
        for page in range(0, cursor.fetchone()[0], CHUNK_PAGES):
            if stop.is_set():
                return False
            cursor.execute(_RANK, {"first": f"({page},0)", "after": f"({page + CHUNK_PAGES},0)"})
            ranked += cursor.rowcount
        seconds = time.monotonic() - started
        cursor.execute(
            "UPDATE ranking SET state = CASE state WHEN 'passing' THEN 'level' ELSE state END,"
            " indexed_height = passing_to, passing_to = NULL, passed_at = now(), pass_seconds = %s",
            [seconds],
        )
    logger.info("Holders ranked balances=%d seconds=%.1f", ranked, seconds)
    return True
