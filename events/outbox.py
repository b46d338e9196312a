"""The outbox: messages that were committed with their blocks and wait to be applied. Hand-written SQL lives here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from blocks.copying import copy_rows
from events.message import Packed

CHANNEL = "outbox"
"""PostgreSQL notification channel: rung, at commit, when messages were added."""


@dataclass(frozen=True, slots=True)
class Row:
    id: int
    body: str


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages wait: `pending` for a processor, `set_aside` for a person."""

    pending: int
    set_aside: int


def add(messages: Iterable[Packed]) -> None:
    """Append `messages` in the caller's database transaction and ring the bell at its commit."""
    packed = list(messages)
    if not packed:
        return
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


def claim(most: int) -> list[Row]:
    """Up to `most` pending messages, oldest first, locked until the caller's transaction ends; others skip them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, body FROM outbox WHERE applied_at IS NULL AND set_aside_at IS NULL"
            " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
            [most],
        )
        return [Row(*row) for row in cursor.fetchall()]


def claim_unpublished(most: int, max_bytes: int, republish_after: float) -> list[Row]:
    """Up to `most` messages of at most `max_bytes` together that the queue has not got, or has kept too long.

    Locked until the caller's transaction ends. A message that was published and is not applied `republish_after`
    seconds later is claimed again: a purged queue costs time, never data.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH claimed AS (SELECT id, body FROM outbox WHERE applied_at IS NULL AND set_aside_at IS NULL"
            " AND (published_at IS NULL OR published_at < now() - make_interval(secs => %s))"
            " ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)"
            " SELECT id, body FROM (SELECT id, body, sum(length(body)) OVER (ORDER BY id) AS bytes FROM claimed) sized"
            " WHERE bytes <= %s OR bytes = length(body)",
            [republish_after, most, max_bytes],
        )
        return [Row(*row) for row in cursor.fetchall()]


def mark_published(ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox SET published_at = now(), publishes = publishes + 1 WHERE id = ANY(%s)", [list(ids)]
        )


def mark_applied(ids: Sequence[int]) -> None:
    """Mark messages applied, in the transaction that applies them; rows are locked in order of id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox SET applied_at = now(), set_aside_at = NULL FROM"
            " (SELECT id FROM outbox WHERE id = ANY(%s) AND applied_at IS NULL ORDER BY id FOR UPDATE) AS locked"
            " WHERE outbox.id = locked.id",
            [list(ids)],
        )


def set_aside(queue_message_id: str, outbox_id: int | None, body: str, reason: str) -> None:
    """Keep a message that nobody understands, with the reason, so that it holds up no other."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO set_aside_messages (queue_message_id, outbox_id, body, reason) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (queue_message_id) DO NOTHING",
            [queue_message_id, outbox_id, body, reason],
        )
        if outbox_id is not None:
            cursor.execute("UPDATE outbox SET set_aside_at = now() WHERE id = %s AND applied_at IS NULL", [outbox_id])


def depth() -> Depth:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE set_aside_at IS NULL), count(*) FILTER (WHERE set_aside_at IS NOT NULL)"
            " FROM outbox WHERE applied_at IS NULL"
        )
        return Depth(*cursor.fetchone())


def lowest_pending_height() -> int | None:
    """The lowest height of which something is not applied yet; None when all is applied."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT min(first_height) FROM outbox WHERE applied_at IS NULL")
        height: int | None = cursor.fetchone()[0]
        return height


def prune(keep_hours: int) -> int:
    """Delete messages applied more than `keep_hours` ago; returns how many. What is not applied is never deleted."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM outbox WHERE applied_at < now() - make_interval(hours => %s)", [keep_hours])
        deleted: int = cursor.rowcount
        return deleted
