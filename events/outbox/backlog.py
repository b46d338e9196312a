"""Messages that are not applied: how many wait and how long, and which of them a correction of heights settles too.

Hand-written SQL lives here.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

RECENT_SECONDS = 60

_BACKLOG = """
SELECT count(*) FILTER (WHERE set_aside_at IS NULL), count(*) FILTER (WHERE set_aside_at IS NOT NULL),
       count(*) FILTER (WHERE set_aside_at IS NULL AND published_at IS NULL),
       extract(epoch FROM now() - min(created_at) FILTER (WHERE set_aside_at IS NULL))::float8,
       (SELECT coalesce(sum(transfers), 0) FROM outbox WHERE applied_at > now() - make_interval(secs => %s))
FROM outbox WHERE applied_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Messages that are not applied: `pending` for a processor, `set_aside` for a person, and how many of the pending
    the queue has never got. `oldest_seconds`: the age of the oldest that is pending, None when there is none.
    `recent_transfers`: applied within the last `RECENT_SECONDS`."""

    pending: int
    set_aside: int
    unpublished: int
    oldest_seconds: float | None
    recent_transfers: int


def backlog() -> Backlog:
    """Costs what waits, and a minute of what was applied."""
    with connection.cursor() as cursor:
        cursor.execute(_BACKLOG, [RECENT_SECONDS])
        return Backlog(*cursor.fetchone())


def waiting_since() -> tuple[int, datetime] | None:
    """The lowest height of which something is not applied, and since when that message is there; None: all is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT first_height, created_at FROM outbox WHERE applied_at IS NULL ORDER BY first_height LIMIT 1"
        )
        found: tuple[int, datetime] | None = cursor.fetchone()
        return found


def span_of_pending(first: int, last: int) -> tuple[int, int]:
    """`first` to `last`, widened to whole messages: none that is not applied tells of heights in it and beside it."""
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT least(min(first_height), %s), greatest(max(last_height), %s) FROM outbox"
                " WHERE applied_at IS NULL AND first_height <= %s AND last_height >= %s",
                [first, last, last, first],
            )
            widened: tuple[int, int] = cursor.fetchone()
            if widened == (first, last):
                return widened
            first, last = widened


def lock_pending(first: int, last: int) -> list[int]:
    """Messages within heights `first` to `last` that are not applied, set aside or not, locked in order of id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM outbox WHERE applied_at IS NULL AND first_height >= %s AND last_height <= %s"
            " ORDER BY id FOR UPDATE",
            [first, last],
        )
        return [row[0] for row in cursor.fetchall()]
