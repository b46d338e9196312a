"""The `postgres` queue: processors claim outbox rows, `FOR UPDATE SKIP LOCKED`, in the applying transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from django.db import transaction

from events import ledger_lock
from events.outbox import store
from events.queues.base import BATCH, Delivery
from postgres.notifications import Bell

LOOK_SECONDS = 1.0
"""The longest wait for the bell: a stop is noticed within it, and so is a message whose ring was lost."""


class PostgresQueue:
    """Messages straight from the outbox; a dead processor's rows are free again as soon as its connection is gone."""

    def __init__(self, batch_size: int = BATCH) -> None:
        self._bell = Bell(store.CHANNEL)
        self._batch_size = batch_size
        self._found_some = True

    @contextmanager
    def batch(self, wait_seconds: float) -> Iterator[Sequence[Delivery]]:
        # After an empty look the bell is waited for; it is listened to before looking, so no ring falls in between.
        self._bell.listen()
        if not self._found_some:
            self._bell.wait(min(wait_seconds, LOOK_SECONDS))
        with transaction.atomic(durable=True):
            ledger_lock.pass_through()  # before any row is locked
            rows = store.claim(self._batch_size)
            self._found_some = bool(rows)
            yield [Delivery(f"outbox:{row.id}", row.body, row.id) for row in rows]

    def leave(self, delivery: Delivery) -> None:
        """Nothing to do: its row was set aside, so it is claimed no more."""

    def close(self) -> None:
        self._bell.close()
