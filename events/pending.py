"""Messages that are not applied, by the heights that they tell of: what a correction of these heights settles too.

Hand-written SQL lives here.
"""

from django.db import connection


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
