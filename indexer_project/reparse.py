"""Reparsing: token events derived again from stored transactions, and the ledger corrected to match, while all runs.

Heights are corrected in batches, each in one database transaction that keeps processors out while it lasts. Messages
that still wait and tell of these heights are settled with them: what they say is in the stored transactions too.
A height whose rows are gone (`blocks/incomplete_blocks.py`) cannot be corrected: its transfers stay, and a
synchronizer reads it again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import psycopg
from django.db import DataError, IntegrityError, OperationalError, connection, transaction

from balances.ledger.apply import apply
from balances.reconciliation.correction import Corrected, Correction, Disturbed
from balances.reconciliation.recompute import settle
from blocks import gaps
from blocks.incomplete_blocks import contains, holes
from blocks.models import Chain, Transaction
from blocks.spans import Span
from blocks.store import begin_generation, read_coverage
from events import ledger_lock
from events.models import OutboxMessage, RefusedEvent
from events.outbox import backlog, store
from events.outbox.message import MessageInvalid, decode, within
from events.parsing.derivation import derive, refused_event
from events.parsing.grc20 import Refusal
from events.parsing.profiles import Profile
from events.refused import correction as refused_correction

logger = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_HEIGHTS = 1_000
BATCH_TRANSACTIONS = 5_000
READ_TRANSACTIONS = 500
LOCK_SECONDS = 5.0
"""Longest wait for a lock: processors stand behind whoever waits for the gate."""

ANOTHER_RUNS = "Another reparse is running, or heights are being dropped."

# As many heights as have BATCH_TRANSACTIONS transactions, one that is stored at least.
_BATCH_END = """
SELECT max(height) FROM (
    SELECT height, sum(num_txs) OVER w AS transactions, row_number() OVER w AS number
    FROM blocks WHERE height BETWEEN %s AND %s WINDOW w AS (ORDER BY height)
) AS counted WHERE transactions <= %s OR number = 1
"""


class ReparseImpossible(Exception):
    """The heights cannot be corrected now; the message says what they wait for."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch changed. `settled`: messages that waited and are done with it; their transfers count as added.
    `holes`: heights that count as complete and whose rows are gone; they are left as they are, and missing from now on.
    """

    span: Span
    ledger: Corrected
    refused: refused_correction.Corrected
    settled: int
    holes: Sequence[Span]

    def changes(self) -> bool:
        ledger, events = self.ledger, self.refused
        numbers = (ledger.added, ledger.removed, ledger.changed, ledger.announcements, ledger.standards)
        return any((*numbers, events.added, events.removed, events.changed, self.settled))


def reparse(asked: Span, profile: Callable[[str], Profile], *, dry_run: bool, patience: float) -> Iterator[Batch]:
    """Correct `asked` as far as it is stored, batch by batch; with `dry_run`, only find what would change.

    `profile`: the rules, by chain id. A batch that cannot have its locks is tried again for `patience` seconds. Raises
    `ReparseImpossible`; batches before it are committed, and a second run begins where nothing is left to correct.
    """
    chain = Chain.objects.filter(id=1).first()
    if chain is None:
        raise ReparseImpossible("Nothing is stored yet: run manage.py runsync first.")
    if not ledger_lock.begin_correction():
        raise ReparseImpossible(ANOTHER_RUNS)
    try:
        rules, following = profile(chain.chain_id), asked.first
        while following <= asked.last:
            batch = patiently(lambda start=following: _one(start, asked.last, chain.chain_id, rules, dry_run), patience)  # type: ignore[misc]  # a lambda in a loop
            if batch is None:
                return
            yield batch
            following = batch.span.last + 1
    finally:
        ledger_lock.end_correction()


def settle_sums(tokens: frozenset[int] | None, patience: float) -> tuple[int, int]:
    """See `balances.reconciliation.recompute.settle`. Raises `ReparseImpossible`."""
    if not ledger_lock.begin_correction():
        raise ReparseImpossible(ANOTHER_RUNS)
    try:
        found = patiently(lambda: settle(tokens, LOCK_SECONDS), patience)
        if any(found):
            begin_generation()
        return found
    finally:
        ledger_lock.end_correction()


def patiently(work: Callable[[], T], patience: float) -> T:
    """Repeat `work` while others are in its way, for `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return work()
        except (Disturbed, _NotYet) as error:
            trouble = str(error)
        except OperationalError as error:
            if not isinstance(error.__cause__, (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)):
                raise
            trouble = "other transactions hold what it needs: a processor with a long batch"
        if time.monotonic() >= deadline:
            raise ReparseImpossible(f"Gave up after {patience:.0f} s: {trouble}. What was reported is done.")
        logger.info("Reparse waits reason=%s", trouble)
        time.sleep(min(1.0, patience / 10))


class _NotYet(Exception):
    """Messages wait that tell of these heights and of some that are not stored now."""


def _one(first: int, last: int, chain_id: str, profile: Profile, dry_run: bool) -> Batch | None:
    """Correct the first batch of what is stored of heights `first` to `last`; None when nothing of them is."""
    with transaction.atomic():
        ledger_lock.close(LOCK_SECONDS)
        span = _whole_messages(first, last)
        if span is None:
            return None
        # Before the transactions are read: what commits later stays pending, and is applied later.
        settled = backlog.lock_pending(span.first, span.last)
        missing = holes(span.first, span.last)
        batch = Batch(span, *correct_heights(span, missing, profile), len(settled), missing)
        if missing:
            apply_within(missing, settled, chain_id)
            gaps.uncover([height for hole in missing for height in range(hole.first, hole.last + 1)])
        store.mark_applied(settled)
        if batch.changes():
            begin_generation()
        if dry_run:
            transaction.set_rollback(True)
    return batch


def correct_heights(
    span: Span, excluded: Sequence[Span], profile: Profile
) -> tuple[Corrected, refused_correction.Corrected]:
    """Correct `span` but for `excluded`, by its stored transactions, in the caller's transaction, the gate closed."""
    correction, refused_events = Correction(span.first, span.last, excluded), list[RefusedEvent]()
    rows = (
        Transaction.objects.filter(block_height__range=(span.first, span.last), success=True)
        .only("block_height", "index", "success", "events")
        .order_by("block_height", "index")
        .iterator(READ_TRANSACTIONS)
    )
    while part := list(islice(rows, READ_TRANSACTIONS)):
        derived = list(derive([row for row in part if not contains(excluded, row.block_height)], profile))
        correction.take(derived)
        refused_events += [refused_event(one, one.said) for one in derived if isinstance(one.said, Refusal)]
    corrected = correction.make_so()
    return corrected, refused_correction.correct_refused(span.first, span.last, refused_events, excluded)


def apply_within(missing: Sequence[Span], ids: Sequence[int], chain_id: str) -> None:
    """Apply what these messages tell of heights whose transactions are gone: it stands nowhere else any more."""
    for row in OutboxMessage.objects.filter(id__in=ids if missing else []).order_by("id").iterator():
        if any(hole.first <= row.last_height and hole.last >= row.first_height for hole in missing):
            try:
                message = decode(row.body, chain_id)
                with transaction.atomic():
                    apply([within(message, lambda height: contains(missing, height))])
            except (MessageInvalid, DataError, IntegrityError):
                continue  # nothing could apply it; another one comes with the heights when they are read again


def _whole_messages(first: int, last: int) -> Span | None:
    """The next batch: complete heights only, and no message that waits half inside."""
    covered = [part for part in read_coverage()[0] if part[0] <= last and part[1] >= first]
    if not covered:
        return None
    start = max(first, covered[0][0])
    end = min(last, covered[0][1], start + BATCH_HEIGHTS - 1)
    with connection.cursor() as cursor:
        cursor.execute(_BATCH_END, [start, end, BATCH_TRANSACTIONS])
        # Where no block is stored there is nothing to read.
        end = cursor.fetchone()[0] or end
    whole = Span(*backlog.span_of_pending(start, end))
    if whole.first < covered[0][0] or whole.last > covered[0][1]:
        raise _NotYet(
            f"messages that are not applied tell of heights {whole.first} to {whole.last}, which are not all stored "
            "now; run a synchronizer and a processor"
        )
    return whole
