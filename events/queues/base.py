"""The two queue back ends behind one shape: `batch()` yields messages inside one database transaction.

What a caller does in the `with` block commits before the queue is told that the messages are done, so a processor that
dies at any instruction leaves them to be delivered again, and nothing that was applied is undone.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

BATCH = 10
"""Messages in one batch at most: what SQS gives in one receive."""


class QueueUnavailable(Exception):
    """The queue cannot be used now or at all; the message names the queue and the way out."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a processor gets it. `id`: the queue's own id, for people and for setting it aside.

    `outbox_id`: the outbox row, where the queue knows it without reading the body. `label`: the row that it was sent
    for, as somebody wrote beside the body, which proves nothing (`events.queues.verification`).
    """

    id: str
    body: str
    outbox_id: int | None = None
    label: int | None = None


class Queue(Protocol):
    """Where processors get messages. Both back ends pass one contract test (tests/events/queues)."""

    def batch(self, wait_seconds: float) -> AbstractContextManager[Sequence[Delivery]]:
        """Some messages, waiting up to `wait_seconds` for the first; empty when there is none.

        Inside the block a database transaction is open, which shares `events.ledger_lock`. When the block ends without
        an exception, it is committed and the messages are acknowledged; with one, it is rolled back and they will be
        delivered again.
        """

    def leave(self, delivery: Delivery) -> None:
        """Inside the block: this one cannot be worked on, and its reason is stored. It is not acknowledged.

        Where the queue has dead letters it is given out a bounded number of times, and ends there.
        """

    def close(self) -> None: ...
