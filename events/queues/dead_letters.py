"""Dead letters: messages that could not be applied, and what a person decides about each. Hand-written SQL lives here.

A letter is a row of `set_aside_messages`. Where it is the copy of an outbox row that is not applied, that row holds its
transfers and the balances want them: it can be tried again, and never be discarded.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from django.conf import settings
from django.db import connection, transaction
from django.utils.module_loading import import_string

from events.outbox import store
from events.queues.base import Delivery
from events.queues.verification import identify

STATES = {
    "dead": "It could not be applied and waits for a person.",
    "redriven": "It is tried again, and not applied yet.",
    "applied": "What it says is applied: nothing is left to do.",
    "discarded": "A person decided that it is not needed.",
}

STATE = """
CASE WHEN letters.discarded_at IS NOT NULL THEN 'discarded'
     WHEN letters.outbox_id IS NULL THEN CASE WHEN letters.redriven_at IS NULL THEN 'dead' ELSE 'redriven' END
     WHEN outbox.applied_at IS NOT NULL OR outbox.id IS NULL THEN 'applied'
     WHEN outbox.set_aside_at IS NULL THEN 'redriven' ELSE 'dead' END
"""
"""SQL: the state of a row of `set_aside_messages AS letters LEFT JOIN outbox`. An absent row was applied and pruned."""

_LETTERS = f"""
SELECT * FROM (
    SELECT letters.id, queue_message_id, outbox_id, outbox.first_height, outbox.last_height, {STATE} AS state, reason,
           receives, received_at, decision
    FROM set_aside_messages AS letters LEFT JOIN outbox ON outbox.id = letters.outbox_id
    WHERE letters.id = ANY(coalesce(%s::bigint[], ARRAY[letters.id]))
) AS found WHERE state = ANY(%s) ORDER BY id
"""  # noqa: S608  # our own constant


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter. `outbox_id` with its heights: the row that it is a copy of, None where it is no copy of any."""

    id: int
    queue_message_id: str
    outbox_id: int | None
    first_height: int | None
    last_height: int | None
    state: str
    reason: str
    receives: int
    received_at: datetime
    decision: str


class DeadQueue(Protocol):
    """Where a queue back end keeps the letters themselves."""

    @property
    def receives(self) -> int: ...
    def look_through(self, take: Callable[[Delivery], bool], most: int | None = None) -> int: ...


class MainQueue(Protocol):
    """A queue back end that keeps letters, or has none to keep (None)."""

    def dead_letters(self) -> DeadQueue | None: ...
    def send_back(self, message: Delivery) -> bool: ...


def open_queue() -> AbstractContextManager[MainQueue | None]:
    """Open the queue that keeps dead letters: the context manager that `DEAD_LETTER_QUEUE` names."""
    opened: AbstractContextManager[MainQueue | None] = import_string(settings.DEAD_LETTER_QUEUE)()
    return opened


class Refused(Exception):
    """What was asked for would lose something or do nothing; the message says why, and the way out."""


def letters(*states: str, ids: Collection[int] | None = None) -> list[Letter]:
    """Letters in one of `states` (in any, when none is given), oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(_LETTERS, [None if ids is None else list(ids), list(states or STATES)])
        return [Letter(*row) for row in cursor.fetchall()]


def letter(letter_id: int) -> Letter:
    """Raises `Refused` when there is none of that number."""
    found = letters(ids=[letter_id])
    if not found:
        raise Refused(f"There is no dead letter {letter_id}: see manage.py deadletters list --all.")
    return found[0]


def body(one: Letter) -> str:
    """The message itself, which may be long; so it is not part of the letter."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM set_aside_messages WHERE id = %s", [one.id])
        return str(cursor.fetchone()[0])


def redrive(chosen: Collection[Letter], queue: MainQueue | None) -> int:
    """Have `chosen` tried again and take their copies out of the dead-letter queue; returns how many letters it were.

    The copy of an outbox row is published or claimed again; what is no copy of any goes back to the queue as it came.
    `queue`: None with QUEUE=postgres, which keeps no copies. Raises `Refused`, and `QueueUnavailable` when SQS is away:
    by then the database has it, and redriving again does the rest, for what comes twice is applied once.
    """
    again = [one for one in chosen if one.state in ("dead", "redriven")]
    for one in chosen:
        if one.state == "discarded" or (one.outbox_id is None and queue is None):
            why = "was discarded" if one.state == "discarded" else "came through a queue that is not in use (QUEUE)"
            raise Refused(f"Dead letter {one.id} {why}.")
    with transaction.atomic():
        store.redrive([one.outbox_id for one in again if one.outbox_id is not None])
        _mark("redriven_at = now()", [], again)
    if queue is not None:
        for one in again:
            if one.outbox_id is None and not queue.send_back(Delivery("", body(one))):
                raise Refused(f"SQS does not take dead letter {one.id} back; the log says why.")
        _take_out(queue, chosen)
    return len(again)


def record_unfinished(queue: MainQueue, chain_id: str) -> None:
    """Keep, as letters, what lies in the dead-letter queue and nobody recorded: processors died of it, or were killed.

    The row that such a message is the copy of is left as it is: it is published again in its time, and need not be what
    they died of. Raises `QueueUnavailable`.
    """
    dead = queue.dead_letters()
    if dead is None:
        return
    known = {one.queue_message_id for one in letters()}
    unknown: list[Delivery] = []

    def look(message: Delivery) -> bool:
        if message.id not in known:
            unknown.append(message)
        return False

    dead.look_through(look)
    reason = f"received {dead.receives} times and never finished: its processors died of it, or were stopped each time"
    for message, copy in identify(unknown, chain_id).items():
        store.keep_letter(message.id, copy.row, message.body, reason, dead.receives)


def discard(one: Letter, reason: str, queue: MainQueue | None) -> None:
    """Record that a person wants `one` no more, and why, and take its copy out of the dead-letter queue.

    Raises `Refused` when it is the copy of an outbox row that is not applied.
    """
    if one.state == "discarded":
        raise Refused(f"Dead letter {one.id} was discarded before: {one.decision}")
    if one.outbox_id is not None and one.state != "applied":
        raise Refused(
            f"Dead letter {one.id} is the copy of outbox message {one.outbox_id}, which is not applied: without it the "
            f"transfers of heights {one.first_height} to {one.last_height} are missing from the balances. Upgrade and "
            f"redrive it, or derive them again from the stored transactions: manage.py reparse --from-height "
            f"{one.first_height} --to-height {one.last_height}"
        )
    if not reason.strip():
        raise Refused("A reason is needed: it is kept beside the message.")
    _mark("discarded_at = now(), decision = %s", [reason.strip()], [one])
    if queue is not None:
        _take_out(queue, [one])


def _mark(change: str, values: list[str], chosen: Collection[Letter]) -> None:
    """Letters that are copies of one row share what becomes of it."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE set_aside_messages SET {change} WHERE discarded_at IS NULL"  # noqa: S608  # our own constants
            " AND (id = ANY(%s) OR outbox_id = ANY(%s))",
            [*values, [one.id for one in chosen], [one.outbox_id for one in chosen if one.outbox_id is not None]],
        )


def _take_out(queue: MainQueue, chosen: Collection[Letter]) -> None:
    dead = queue.dead_letters()
    wanted = {one.queue_message_id for one in chosen}
    if dead is not None and wanted:
        dead.look_through(lambda message: message.id in wanted, most=len(wanted))
