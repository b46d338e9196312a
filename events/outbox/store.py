"""The outbox: messages that were committed with their blocks and wait to be applied. Hand-written SQL lives here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

from django.db import connection

from events.outbox.message import Packed
from postgres.copy import copy_rows

CHANNEL = "outbox"
"""PostgreSQL notification channel: rung, at commit, when messages were added."""

PULSE = """
SELECT (SELECT min(first_height) FROM outbox WHERE applied_at IS NULL) AS lowest_pending,
       (SELECT max(applied_at) FROM outbox) AS applied_at, (SELECT max(id) FROM outbox) AS newest
"""
"""One row, for the statement of somebody who does not know this table: the lowest height of which something is not
applied, null when all is; and for versions of answers when a message was last applied, and the newest message's id.
It costs the ends of three indexes."""


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    body: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages wait: `pending` for a processor, `set_aside` for a person."""

    pending: int
    set_aside: int


class Standing(Enum):
    """What the outbox says of a message that came back from a queue."""

    PENDING = "pending"
    """It is a row of the outbox, word for word, and waits to be applied."""
    APPLIED = "applied"
    """Its row was applied before: nothing is left to do."""
    ABSENT = "absent"
    """No such row: applied and pruned, or of another database that uses the same queue."""
    DIFFERENT = "different"
    """The row of its number waits and says something else: the message is not to be believed."""


def add(messages: Iterable[Packed]) -> list[int]:
    """Append `messages` in the caller's database transaction and notify at its commit; returns their ids."""
    packed = list(messages)
    if not packed:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('outbox', 'id')) FROM generate_series(1, %s)", [len(packed)]
        )
        ids = [row[0] for row in cursor.fetchall()]
        with copy_rows("COPY outbox (id, first_height, last_height, transfers, body) FROM STDIN") as copy:
            for outbox_id, message in zip(ids, packed, strict=True):
                copy.write_row(
                    (outbox_id, message.first_height, message.last_height, message.transfers, message.body(outbox_id))
                )
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        return ids


def claim(most: int) -> list[Row]:
    """Up to `most` pending messages, oldest first, locked until the caller's transaction ends; others skip them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, body FROM outbox WHERE applied_at IS NULL AND set_aside_at IS NULL"
            " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
            [most],
        )
        return [Row(*row) for row in cursor.fetchall()]


def standings(messages: Sequence[tuple[int, str]]) -> list[Standing]:
    """What the outbox says of each (id, body), in one statement.

    A queue outlives a database that is made anew, and two databases may share one by mistake: a message counts only as
    the copy of a row, never by the number that it claims.
    """
    if not messages:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT CASE WHEN outbox.id IS NULL THEN 'absent' WHEN applied_at IS NOT NULL THEN 'applied'"
            " WHEN sha256(convert_to(body, 'UTF8')) = digest THEN 'pending' ELSE 'different' END"
            " FROM unnest(%s::bigint[], %s::bytea[]) WITH ORDINALITY AS given (given_id, digest, position)"
            " LEFT JOIN outbox ON outbox.id = given_id ORDER BY position",
            [[outbox_id for outbox_id, _ in messages], [sha256(body.encode()).digest() for _, body in messages]],
        )
        return [Standing(row[0]) for row in cursor.fetchall()]


def mark_applied(ids: Sequence[int]) -> None:
    """Mark messages applied, in the transaction that applies them; rows are locked in order of id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox SET applied_at = now(), set_aside_at = NULL FROM"
            " (SELECT id FROM outbox WHERE id = ANY(%s) AND applied_at IS NULL ORDER BY id FOR UPDATE) AS locked"
            " WHERE outbox.id = locked.id",
            [list(ids)],
        )


def keep_letter(queue_message_id: str, outbox_id: int | None, body: str, reason: str, receives: int = 1) -> bool:
    """Keep a message that was not applied, with the reason; it came `receives` times since it was kept last, if ever.

    `outbox_id`: the row that it is a copy of, to the letter. False when a person has discarded this very message.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO set_aside_messages AS kept (queue_message_id, outbox_id, body, reason, receives)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (queue_message_id) DO UPDATE"
            " SET body = excluded.body, reason = excluded.reason, received_at = excluded.received_at,"
            " outbox_id = excluded.outbox_id, receives = kept.receives + excluded.receives, redriven_at = NULL"
            " RETURNING discarded_at IS NULL",
            [queue_message_id, outbox_id, body, reason, receives],
        )
        wanted: bool = cursor.fetchone()[0]
        return wanted


def set_aside(queue_message_id: str, outbox_id: int | None, body: str, reason: str) -> bool:
    """Keep a message that cannot be applied, and set its row aside, so that it holds up no other. See `keep_letter`."""
    wanted = keep_letter(queue_message_id, outbox_id, body, reason)
    if outbox_id is not None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE outbox SET set_aside_at = now() WHERE id = %s AND applied_at IS NULL", [outbox_id])
    return wanted


def redrive(ids: Sequence[int] | None = None) -> int:
    """Give rows that are not applied to the processors again, `ids` or all that were set aside; returns how many."""
    which = "set_aside_at IS NOT NULL" if ids is None else "id = ANY(%s)"
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox SET set_aside_at = NULL, published_at = NULL, leased_until = NULL"  # noqa: S608  # our own constants
            f" WHERE applied_at IS NULL AND {which}",
            [] if ids is None else [list(ids)],
        )
        redriven: int = cursor.rowcount
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
        return redriven


def depth() -> Depth:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE set_aside_at IS NULL), count(*) FILTER (WHERE set_aside_at IS NOT NULL)"
            " FROM outbox WHERE applied_at IS NULL"
        )
        return Depth(*cursor.fetchone())


def prune(keep_hours: int, most: int = 1_000) -> int:
    """Delete up to `most` messages applied more than `keep_hours` ago; returns how many.

    What is not applied is never deleted. A bounded statement, so that no limit of a server ends it for ever.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox"
            " WHERE applied_at < now() - make_interval(hours => %s) ORDER BY applied_at LIMIT %s"
            " FOR UPDATE SKIP LOCKED)",
            [keep_hours, most],
        )
        deleted: int = cursor.rowcount
        return deleted
