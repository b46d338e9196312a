"""A small ledger for tests: transfers put into the outbox, balances read back, and the one check of conservation."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from django.db import connection

from balances.models import Balance
from balances.processor import Processor
from blocks.models import Chain
from events.models import OutboxMessage
from events.outbox import store
from events.outbox.message import Message, decode
from events.queues.base import Queue
from events.queues.postgres import PostgresQueue
from tests.events.factories import CHAIN, TOKEN, Row, packed

# For every token: its balances, totals and transfers must tell one story. A row is what breaks it.
_BROKEN = """
WITH moved AS (
    SELECT token_id, count(*) AS transfers,
           coalesce(sum(amount) FILTER (WHERE from_account_id IS NULL), 0) AS minted,
           coalesce(sum(amount) FILTER (WHERE to_account_id IS NULL), 0) AS burned
    FROM transfers GROUP BY token_id
),
held AS (
    SELECT token_id, sum(amount) AS amount, count(*) FILTER (WHERE amount > 0) AS holders
    FROM balances GROUP BY token_id
),
sides AS (
    SELECT token_id, account_id, sum(amount) AS amount, count(DISTINCT place) AS transfers FROM (
        SELECT token_id, to_account_id AS account_id, amount, (block_height, tx_index, event_index) AS place
        FROM transfers WHERE to_account_id IS NOT NULL
        UNION ALL
        SELECT token_id, from_account_id, -amount, (block_height, tx_index, event_index)
        FROM transfers WHERE from_account_id IS NOT NULL
    ) AS both_sides GROUP BY token_id, account_id
)
SELECT 'token', token_id, totals.minted, totals.burned, totals.transfers, totals.holders,
       moved.minted, moved.burned, moved.transfers, held.holders, held.amount
FROM token_totals AS totals FULL JOIN moved USING (token_id) FULL JOIN held USING (token_id)
WHERE (totals.minted, totals.burned, totals.transfers, totals.holders, totals.minted - totals.burned)
      IS DISTINCT FROM (moved.minted, moved.burned, moved.transfers, held.holders, held.amount)
UNION ALL
SELECT 'account', token_id, account_id, held.amount, held.transfers, sides.amount, sides.transfers,
       NULL, NULL, NULL, NULL
FROM balances AS held FULL JOIN sides USING (token_id, account_id)
WHERE (held.amount, held.transfers) IS DISTINCT FROM (sides.amount, sides.transfers)
"""


def expect_conserved() -> None:
    """Fail unless, for every token, sum of balances = minted − burned, and holders, counts and each balance agree."""
    with connection.cursor() as cursor:
        cursor.execute(_BROKEN)
        assert cursor.fetchall() == []


def start_chain(coverage: Sequence[tuple[int, int]] = ((0, 1_000_000),), start_height: int = 0) -> None:
    Chain.objects.create(chain_id=CHAIN, start_height=start_height, coverage=list(coverage), tip=1_000_000)


def put(*messages: Iterable[Row]) -> list[OutboxMessage]:
    """Add messages to the outbox, one for each list of rows; returns the outbox rows made."""
    before = set(OutboxMessage.objects.values_list("id", flat=True))
    for rows in messages:
        store.add(packed(rows))
    return list(OutboxMessage.objects.exclude(id__in=before).order_by("id"))


def messages(*lists: Iterable[Row]) -> list[Message]:
    """Messages as a processor reads them, one for each list of rows, without an outbox."""
    return [decode(one.body(0), CHAIN) for rows in lists for one in packed(rows)]


def processor(queue: Queue | None = None) -> Processor:
    return Processor(queue or PostgresQueue(), lambda: CHAIN, threading.Event())


def drain(step: Callable[[], int]) -> None:
    """Repeat `step` until it returns 0; a step that never does so fails the test instead of hanging it."""
    for _ in range(1_000):
        if not step():
            return
    raise AssertionError("the same messages come again and again")


def apply_all() -> Processor:
    """Process the outbox until nothing is left that a processor can understand."""
    queue = PostgresQueue()
    one = processor(queue)
    try:
        drain(lambda: one.process_batch(0))
    finally:
        queue.close()
    return one


def balances() -> dict[tuple[str, str], int]:
    """What is held, by (token, address); accounts with nothing are left out."""
    rows = Balance.objects.values_list("token__path", "account__address", "amount")
    return {(token, address): int(amount) for token, address, amount in rows if amount}


def of(token: str = TOKEN) -> dict[str, int]:
    """What is held of one token, by address."""
    return {address: amount for (path, address), amount in balances().items() if path == token}


def added_up(rows: Iterable[Row]) -> dict[tuple[str, str], int]:
    """The same, in plain Python."""
    held: Counter[tuple[str, str]] = Counter()
    for row in set(rows):
        held[row.token, row.sender] -= row.amount
        held[row.token, row.recipient] += row.amount
    return {pair: amount for pair, amount in held.items() if pair[1] and amount}
