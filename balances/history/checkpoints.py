"""Checkpoints: what busy accounts held at marks along their history (docs/history.md). Hand-written SQL lives here.

They are made behind the indexed height, in small transactions that take no lock on what processors write. Marks count
up to the walk's height, so forgetting a history that has changed is one small update; they are deleted and made anew
after it. Nobody, the empty side of mints and burns, has checkpoints as account 0: what he holds is the supply, with a
minus.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import OperationalError, connection, transaction

from balances.indexed_height import read_indexed_height
from events import ledger_lock
from postgres.locks import Lock

NOBODY = 0

STRETCH = 500
"""Fewer movements than this lie between two marks of an account, and after the last one when all is walked."""

BATCH = 200_000
"""Transfers that are counted, and movements from which checkpoints are made, in one transaction."""

_READ = "SELECT height, claimed, stale FROM checkpoint_walk"

# The row is updated whether or not it changes: who counts meanwhile, from a snapshot without what has changed, fails
# when he updates it in the end. Marks made from such a snapshot are above the new height, so they are deleted.
_FORGET = """
INSERT INTO checkpoint_walk AS walk (id, height, claimed, stale) VALUES (1, -1, -1, false)
ON CONFLICT (id) DO UPDATE SET height = least(walk.height, %(height)s - 1),
                               stale = walk.stale OR walk.height >= %(height)s
"""

_FOLLOWING = """
SELECT block_height FROM transfers WHERE block_height > %(height)s AND block_height <= %(indexed)s
ORDER BY block_height, tx_index, event_index OFFSET %(most)s LIMIT 1
"""

_CLAIM = """
INSERT INTO checkpoint_walk AS walk (id, height, claimed, stale) VALUES (1, -1, %(target)s, false)
ON CONFLICT (id) DO UPDATE SET claimed = %(target)s WHERE (walk.height, walk.claimed) = (%(height)s, %(height)s)
"""

_COUNT = """
INSERT INTO checkpoint_counts AS kept (account_id, movements, due)
SELECT account_id, count(*), count(*) >= %(stretch)s
FROM transfers
CROSS JOIN LATERAL (VALUES (coalesce(from_account_id, 0)), (coalesce(to_account_id, 0))) AS sides (account_id)
WHERE block_height > %(height)s AND block_height <= %(claimed)s
GROUP BY account_id ORDER BY account_id
ON CONFLICT (account_id) DO UPDATE SET movements = kept.movements + excluded.movements,
                                       due = kept.movements + excluded.movements >= %(stretch)s
"""

# One at least, and no more than make a batch together.
_DUE = """
SELECT account_id FROM (
    SELECT account_id, movements, sum(movements) OVER (ORDER BY account_id) AS together
    FROM (SELECT account_id, movements FROM checkpoint_counts WHERE due ORDER BY account_id LIMIT 1000) AS first
) AS due WHERE together <= greatest(movements, %(most)s)
"""

# The movements of accounts since their last marks, each once for each side that is the account's.
_AFTER_THE_MARK = "block_height > due.since AND block_height <= %(height)s"
_MOVED = f"""
due AS MATERIALIZED (
    SELECT account_id, coalesce(
        (SELECT max(block_height) FROM checkpoint_marks AS marks WHERE marks.account_id = given.account_id), -1
    ) AS since
    FROM unnest(%(accounts)s::bigint[]) AS given (account_id)
),
moved AS MATERIALIZED (
    SELECT due.account_id, sides.* FROM due CROSS JOIN LATERAL (
        SELECT block_height, token_id, amount FROM transfers
        WHERE to_account_id = due.account_id AND {_AFTER_THE_MARK}
        UNION ALL
        SELECT block_height, token_id, -amount FROM transfers
        WHERE from_account_id = due.account_id AND {_AFTER_THE_MARK}
        UNION ALL
        SELECT block_height, token_id, amount FROM transfers
        WHERE due.account_id = 0 AND to_account_id IS NULL AND {_AFTER_THE_MARK}
        UNION ALL
        SELECT block_height, token_id, -amount FROM transfers
        WHERE due.account_id = 0 AND from_account_id IS NULL AND {_AFTER_THE_MARK}
    ) AS sides
)
"""  # noqa: S608  # our own constant

# A mark is a height at which the movements since the last mark reach a multiple of the stretch; so fewer lie between.
_MARK = f"""
WITH {_MOVED},
counted AS (
    SELECT account_id, block_height, count(*) AS here,
           (sum(count(*)) OVER (PARTITION BY account_id ORDER BY block_height))::bigint AS reached
    FROM moved GROUP BY account_id, block_height
),
stretches AS MATERIALIZED (
    SELECT account_id, block_height, here, min(block_height) FILTER (WHERE is_mark)
           OVER (PARTITION BY account_id ORDER BY block_height DESC) AS mark
    FROM (
        SELECT *, reached / %(stretch)s > (reached - here) / %(stretch)s AS is_mark FROM counted
    ) AS heights
),
added AS (
    SELECT account_id, token_id, mark, sum(amount) AS amount
    FROM moved JOIN stretches USING (account_id, block_height) WHERE mark IS NOT NULL
    GROUP BY account_id, token_id, mark
),
checkpoints AS (
    INSERT INTO balance_checkpoints (account_id, token_id, block_height, balance)
    SELECT account_id, token_id, mark, coalesce((
               SELECT balance FROM balance_checkpoints AS before
               WHERE before.account_id = added.account_id AND before.token_id = added.token_id
               ORDER BY block_height DESC LIMIT 1
           ), 0) + sum(amount) OVER (PARTITION BY account_id, token_id ORDER BY mark)
    FROM added
),
marks AS (
    INSERT INTO checkpoint_marks (account_id, block_height)
    SELECT DISTINCT account_id, mark FROM stretches WHERE mark IS NOT NULL
),
rest AS (
    SELECT account_id, coalesce(sum(here) FILTER (WHERE mark IS NULL), 0) AS movements
    FROM due LEFT JOIN stretches USING (account_id) GROUP BY account_id
)
UPDATE checkpoint_counts AS kept SET movements = rest.movements, due = false
FROM rest WHERE kept.account_id = rest.account_id
"""  # noqa: S608  # our own constant

# How many movements lie between an account's last mark that is left and the height is found when it is marked again.
_CLEAN = """
WITH stale AS MATERIALIZED (
    SELECT account_id FROM (
        SELECT account_id, count(*) AS marks, sum(count(*)) OVER (ORDER BY account_id) AS together
        FROM checkpoint_marks WHERE block_height > %(height)s GROUP BY account_id
    ) AS found WHERE together <= greatest(marks, %(most)s)
),
counts AS (
    INSERT INTO checkpoint_counts AS kept (account_id, movements, due)
    SELECT account_id, %(stretch)s, true FROM stale
    ON CONFLICT (account_id) DO UPDATE SET movements = excluded.movements, due = true
),
checkpoints AS (
    DELETE FROM balance_checkpoints AS kept USING stale
    WHERE kept.account_id = stale.account_id AND kept.block_height > %(height)s
)
DELETE FROM checkpoint_marks AS kept USING stale
WHERE kept.account_id = stale.account_id AND kept.block_height > %(height)s
"""


def forget(height: int) -> None:
    """Say, in the caller's transaction, that transfers of `height` or above were changed, added or removed.

    What was known of balances at `height` and above is not used any more from the caller's commit on, and is made anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"height": height})


def notice(height: int) -> None:
    """Say, in the caller's transaction, that transfers of `height` and above are applied; one small look-up.

    That nothing is applied below the indexed height is the rule; an accepted gap that is filled after all, or a height
    that is read again, is the exception. A walker says beforehand, in a transaction of its own, how far it will look,
    and looks only once it sees nothing pending there. So what is pending by then holds it back, and whoever applies
    what came later reads here that it is late.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT claimed FROM checkpoint_walk")
        row = cursor.fetchone()
    if row is not None and height <= row[0]:
        forget(height)


def step(most: int | None = None) -> bool:
    """One small transaction's worth of work; False when nothing is left to do, or another process does it.

    `most`: in place of `BATCH`, where that is too much for a limit of the server.
    """
    most = BATCH if most is None else most
    try:
        with _alone() as mine:
            if not mine:
                return False
            walk = _read()
            if walk is not None:
                height, claimed, stale = walk
                if stale:
                    _clean(height, most)
                    return True
                if _mark(height, most):
                    return True
                if claimed > height:
                    _count(height, claimed)
                    return True
        return _claim(-1 if walk is None else walk[0], most)
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.SerializationFailure):
            raise
        return True  # what was read has changed: nothing is written, and the next step reads again


def unclaim() -> None:
    """Count less far: what a walker has said that it looks at is too much for one statement."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE checkpoint_walk SET claimed = height WHERE claimed > height")


@contextmanager
def _alone() -> Iterator[bool]:
    """A transaction with one snapshot, and whether it is the only one that makes checkpoints.

    A process that is frozen in it loses it as `events.ledger_lock` has it, so that another one makes them.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if len(connection.savepoint_ids) == 0:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute(
            f"SELECT pg_try_advisory_xact_lock({Lock.CHECKPOINTS.key}), {ledger_lock.END_WHEN_IDLE}",
            [f"{ledger_lock.IDLE_SECONDS}s"],
        )
        yield bool(cursor.fetchone()[0])


def _read() -> tuple[int, int, bool] | None:
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        walk: tuple[int, int, bool] | None = cursor.fetchone()
        return walk


def _claim(height: int, most: int) -> bool:
    """Say how far the next count goes, before its snapshot is taken; False when nothing more is indexed."""
    indexed = read_indexed_height().height
    if indexed <= height:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOWING, {"height": height, "indexed": indexed, "most": most})
        following = cursor.fetchone()
        # Whole heights, one at least.
        target = indexed if following is None else max(following[0] - 1, height + 1)
        cursor.execute(_CLAIM, {"height": height, "target": target})
    return True


def _count(height: int, claimed: int) -> None:
    with connection.cursor() as cursor:
        if read_indexed_height().height < claimed:
            cursor.execute("UPDATE checkpoint_walk SET claimed = height")
            return
        cursor.execute(_COUNT, {"height": height, "claimed": claimed, "stretch": STRETCH})
        cursor.execute("UPDATE checkpoint_walk SET height = claimed")


def _mark(height: int, most: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"most": most})
        accounts = [row[0] for row in cursor.fetchall()]
        if not accounts:
            return False
        cursor.execute(_MARK, {"accounts": accounts, "height": height, "stretch": STRETCH})
        return True


def _clean(height: int, most: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_CLEAN, {"height": height, "most": most // STRETCH, "stretch": STRETCH})
        if cursor.rowcount == 0:
            cursor.execute("UPDATE checkpoint_walk SET claimed = height, stale = false")
