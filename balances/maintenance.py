"""Maintenance tasks that a processor runs between batches, each when its interval has passed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from events.outbox import store
from postgres import locks

PRUNE_ROWS = 1_000
"""Outbox rows deleted at a time, so that no batch waits for long."""


@dataclass
class Task:
    """`run` returns whether it finished: a task that did not is due again after the next batch."""

    interval_seconds: float
    run: Callable[[], bool]
    _due: float = field(default=0.0, init=False)

    def run_if_due(self, now: float) -> None:
        if now >= self._due and self.run():
            self._due = now + self.interval_seconds


def maintenance_tasks(keep_hours: int) -> Sequence[Task]:
    """The tasks of one processor; messages that were applied more than `keep_hours` ago are deleted."""
    return (Task(600.0, lambda: prune_outbox(keep_hours)), Task(30.0, end_stuck_lock_holders))


def run_due(tasks: Sequence[Task]) -> None:
    """Run every task whose interval has passed."""
    now = time.monotonic()
    for task in tasks:
        task.run_if_due(now)


def prune_outbox(keep_hours: int) -> bool:
    """Delete applied messages; returns whether none older than `keep_hours` is left."""
    return store.prune(keep_hours, PRUNE_ROWS) < PRUNE_ROWS


def end_stuck_lock_holders() -> bool:
    """End sessions that hold one of the project's locks and have been silent within a statement."""
    locks.end_stuck_holders()
    return True
