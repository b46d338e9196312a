"""The outbox as a relay sees it: rows leased for a bounded time, published, or packed again.

Hand-written SQL lives here. A relay holds no lock and no transaction while it waits for SQS. One that is frozen or dies
there keeps its rows from other relays until the lease ends, and nothing else; what is published twice then is applied
once.
"""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from events import ledger_lock
from events.outbox import store
from events.outbox.message import MessageInvalid, Packed, decode
from events.outbox.message_division import divided
from events.outbox.store import Row

# As the index `outbox_unpublished` has it; never is longest ago.
_PUBLISHED = "coalesce(published_at, '-infinity')"

_LEASE = f"""
WITH claimed AS (
    SELECT id, body, {_PUBLISHED} AS published FROM outbox
    WHERE applied_at IS NULL AND set_aside_at IS NULL AND id <> ALL(%(skip)s)
    AND (leased_until IS NULL OR leased_until < now())
    AND {_PUBLISHED} < now() - make_interval(secs => %(again)s)
    AND {_PUBLISHED} < now() - make_interval(secs => %(again)s * power(2, least(greatest(publishes - 1, 0), 4)))
    ORDER BY {_PUBLISHED}, id LIMIT %(most)s FOR UPDATE SKIP LOCKED
),
sized AS (SELECT *, sum(length(body)) OVER (ORDER BY published, id) AS bytes FROM claimed),
leased AS (
    UPDATE outbox SET leased_until = now() + make_interval(secs => %(seconds)s) FROM sized
    WHERE outbox.id = sized.id AND (bytes <= %(max_bytes)s OR bytes = length(sized.body))
    RETURNING outbox.id, outbox.body, sized.published, outbox.leased_until
)
SELECT id, body, leased_until FROM leased ORDER BY published, id
"""  # noqa: S608  # our own constant

# Rows that others have locked are passed over: a processor that applies one may be frozen too.
_PUBLISH = """
UPDATE outbox SET published_at = now(), publishes = publishes + 1, leased_until = NULL
FROM (SELECT id FROM outbox WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED) AS free WHERE outbox.id = free.id
RETURNING outbox.id
"""

# Another relay that looks for rows, and a processor that is about to commit, hold one for milliseconds.
_PAUSES = (0.01, 0.02, 0.04, 0.08, 0.16, 0.0)

_RELEASE = """
UPDATE outbox SET leased_until = NULL
FROM (SELECT id FROM outbox WHERE id = ANY(%s) AND leased_until = %s FOR UPDATE SKIP LOCKED) AS free
WHERE outbox.id = free.id
"""

_TAKE_OUT = """
DELETE FROM outbox USING (
    SELECT id FROM outbox WHERE id = %s AND applied_at IS NULL AND set_aside_at IS NULL FOR UPDATE SKIP LOCKED
) AS free WHERE outbox.id = free.id RETURNING outbox.created_at
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """Rows that no other relay takes before `until`, None when there are none."""

    rows: tuple[Row, ...]
    until: datetime | None


class NotDivisible(Exception):
    """A message that cannot be made smaller; the text says why."""


def lease(most: int, max_bytes: int, republish_after: float, seconds: float, skip: Collection[int] = ()) -> Lease:
    """Up to `most` messages of at most `max_bytes` together that the queue has not got, or has kept too long.

    One statement, so nothing stays locked: they are this relay's for `seconds`. Ids in `skip` are passed over. What was
    published and is not applied `republish_after` seconds later is leased again, so that a purged queue costs time,
    never data; the wait doubles each time, up to 16 times, so that processors that were away for a day do not find a
    queue full of copies. What was never published comes first, then what was published longest ago: repetitions hold up
    no other message.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _LEASE,
            {
                "most": most,
                "max_bytes": max_bytes,
                "again": republish_after,
                "seconds": seconds,
                "skip": list(skip),
            },
        )
        found = cursor.fetchall()
    return Lease(tuple(Row(*row[:2]) for row in found), found[0][2] if found else None)


def release(held: Lease, ids: Collection[int]) -> None:
    """Give back those of the lease's rows, so that they are offered again without waiting for its end."""
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_RELEASE, [sorted(ids), held.until])


def mark_published(ids: Sequence[int]) -> None:
    """Record that the queue has taken these messages, and end their leases.

    What others keep locked is left out after a moment: if they do not apply it, it is published again when its lease
    is over.
    """
    left = set(ids)
    for pause in _PAUSES:
        if not left:
            return
        with connection.cursor() as cursor:
            cursor.execute(_PUBLISH, [sorted(left)])
            left -= {row[0] for row in cursor.fetchall()}
        if left:
            time.sleep(pause)


def unpublished(skip: Collection[int] = ()) -> int:
    """How many pending messages the queue has never got, but for ids in `skip`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM outbox WHERE applied_at IS NULL AND set_aside_at IS NULL AND published_at IS NULL"
            " AND id <> ALL(%s)",
            [list(skip)],
        )
        count: int = cursor.fetchone()[0]
        return count


def pack_again(row: Row, max_bytes: int) -> int:
    """Replace `row` by smaller messages with the same transfers, in one transaction; returns how many they are.

    0 when it is applied, or in other hands, meanwhile. A copy of it that is in a queue, or is being applied, does no
    harm: a transfer counts once, in whatever messages it comes. Raises `NotDivisible`.
    """
    pieces = _divided(row, max_bytes)
    with transaction.atomic(durable=True):
        # A correction settles the messages that it finds: none may be replaced while it looks.
        ledger_lock.pass_through()
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_OUT, [row.id])
            taken = cursor.fetchone()
            if taken is None:
                return 0
            ids = store.add(pieces)
            cursor.execute("UPDATE outbox SET created_at = %s WHERE id = ANY(%s)", [taken[0], ids])
    return len(pieces)


def _divided(row: Row, max_bytes: int) -> list[Packed]:
    try:
        pieces = divided(decode(row.body, None), max_bytes)
    except MessageInvalid as error:
        raise NotDivisible(str(error)) from None
    if len(pieces) < 2:
        raise NotDivisible("it holds one transfer or announcement, which is larger by itself")
    return pieces
