"""What the synchronizer's tests share: running one in a thread, waiting by polling, what a recording should give."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from django.db import connection, connections

from blocks.models import Block, Chain, Transaction
from blocks.source.endpoint_url import parse_endpoints
from blocks.source.payloads import TransactionAnswer
from blocks.sync.synchronizer import Synchronizer, SyncSettings
from blocks.sync.writer import Record
from replay.recording import Recording

SMALL = SyncSettings(
    urls=(),
    chain_id="",
    start_height=0,
    connections=2,
    window_blocks=40,
    window_transactions=45,
    max_answer_bytes=16 * 1024 * 1024,
    timeout=5.0,
    poll=0.05,
)


def record_nothing(chain_id: str, transactions: Sequence[TransactionAnswer]) -> None:
    """For tests that look at blocks and transactions only."""


class Sync:
    """A synchronizer in a thread, with a database connection of its own as a process has; stopped at the end of `with`.

    An exception that ends it is raised by `finish` or at the end of `with`.
    """

    def __init__(
        self,
        *urls: str,
        record: Record = record_nothing,
        until_tip: bool = False,
        drop: Callable[[int], bool] | None = None,
        **settings: Any,
    ) -> None:
        self.stop = threading.Event()
        self.synchronizer = Synchronizer(
            replace(SMALL, urls=parse_endpoints(urls), **settings), record, self.stop, drop=drop
        )
        self.error: BaseException | None = None
        self.cpu_seconds = 0.0
        self._until_tip = until_tip
        self._thread = threading.Thread(target=self._run, name="synchronizer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()
        self.synchronizer.wake.set()
        self._thread.join(20)
        if kind is None:
            assert not self._thread.is_alive(), "the synchronizer did not stop within 20 s"
            self._raise()

    def finish(self, seconds: float = 20.0) -> None:
        """Wait until it ends by itself."""
        self._thread.join(seconds)
        self._raise()
        assert not self._thread.is_alive(), f"not at the tip after {seconds} s; gaps: {self.gaps()}"

    def gaps(self) -> dict[int, str]:
        """Incomplete heights and why, as the synchronizer would tell."""
        return {
            height: each.reason
            for each in self.synchronizer._retries.all()
            for height in range(each.span.first, each.span.last + 1)
        }

    @property
    def alive(self) -> bool:
        self._raise()
        return self._thread.is_alive()

    def _raise(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def _run(self) -> None:
        try:
            self.synchronizer.run(until_tip=self._until_tip)
        except BaseException as error:  # told by `finish` or at the end of `with`, in the test's own thread
            self.error = error
        finally:
            self.cpu_seconds = time.thread_time()
            connections.close_all()


def sync(*urls: str, record: Record = record_nothing, seconds: float = 20.0, **settings: Any) -> Synchronizer:
    """Run a synchronizer until nothing is missing up to the tip."""
    with Sync(*urls, record=record, until_tip=True, **settings) as running:
        running.finish(seconds)
    return running.synchronizer


def wait_until(condition: Callable[[], object], seconds: float = 10.0, what: Callable[[], str] = str) -> None:
    """Poll until something is true, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain; {what()}"
        time.sleep(0.01)


def coverage() -> list[tuple[int, int]]:
    """The stored coverage: inclusive ranges, ascending."""
    found: list[tuple[int, int]] = Chain.objects.values_list("coverage", flat=True).first() or []
    return found


def covered(height: int) -> bool:
    return any(first <= height <= last for first, last in coverage())


def whole(last: int) -> bool:
    """Everything up to `last` is covered: the last window may be there before the others."""
    return coverage() == [(0, last)]


def stored_heights() -> list[int]:
    return list(Block.objects.order_by("height").values_list("height", flat=True))


BLOCK_COLUMNS = ("height", "hash", "last_block_hash", "time", "num_txs", "total_txs", "proposer_address")


def stored_blocks() -> list[tuple[Any, ...]]:
    return list(Block.objects.order_by("height").values_list(*BLOCK_COLUMNS))


def stored_transactions() -> list[tuple[Any, ...]]:
    """All rows with their place in the table, so that a row that was written again is told from one that was not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT t.*::text, ctid::text FROM transactions t ORDER BY block_height, index")
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def expected_blocks(recording: Recording, first: int = 0, last: int | None = None) -> list[tuple[Any, ...]]:
    return [
        (
            row["height"],
            row["hash"],
            row["last_block_hash"],
            datetime.fromisoformat(row["time"]).astimezone(UTC),
            row["num_txs"],
            row["total_txs"],
            row["proposer_address_raw"],
        )
        for row in recording.blocks
        if row["height"] >= first and (last is None or row["height"] <= last)
    ]


def assert_holds(recording: Recording, first: int = 0, last: int | None = None) -> None:
    """Blocks, transactions and coverage are exactly the recording's from `first` to `last` (its tip)."""
    if last is None:
        last = recording.heights[-1]
    assert coverage() == [(first, last)]
    assert stored_blocks() == expected_blocks(recording, first, last)
    rows = [row for row in recording.transactions if first <= row["block_height"] <= last]
    stored = list(Transaction.objects.order_by("block_height", "index"))
    assert [(t.block_height, t.index) for t in stored] == [(r["block_height"], r["index"]) for r in rows]
    for transaction, row in zip(stored, rows, strict=True):
        assert_same_transaction(transaction, row)


def assert_same_transaction(transaction: Transaction, row: dict[str, Any]) -> None:
    """The stored transaction is the recorded one, in everything that is stored of it."""
    fee = row["gas_fee"] or {"amount": "", "denom": ""}
    assert (
        transaction.hash,
        transaction.success,
        transaction.gas_wanted,
        transaction.gas_used,
        transaction.gas_fee,
        transaction.memo,
        transaction.error,
    ) == (
        row["hash"],
        row["success"],
        row["gas_wanted"],
        row["gas_used"],
        f"{fee['amount']}{fee['denom']}" if fee["denom"] else "",
        row["memo"],
        row["response"]["error"],
    )
    assert len(transaction.messages) == len(row["messages"])
    for message, recorded in zip(transaction.messages, row["messages"], strict=True):
        assert_part_of(message, recorded)
        if recorded["value"]["__typename"] == "MsgCall":
            assert {"caller", "pkg_path", "func", "args", "send"} <= message["value"].keys()
    # The position in the list identifies an event, so all of them are there, whatever their kind.
    events = row["response"]["events"]
    assert [event["__typename"] for event in transaction.events] == [event["__typename"] for event in events]
    for event, recorded in zip(transaction.events, events, strict=True):
        assert_part_of(event, recorded)
        if recorded["__typename"] == "GnoEvent":
            assert {"type", "pkg_path", "attrs"} <= event.keys()


def assert_part_of(stored: Any, recorded: Any) -> None:
    """`stored` has nothing that `recorded` has not: a selection of its fields."""
    if isinstance(stored, dict):
        for name, value in stored.items():
            assert_part_of(value, recorded[name])
    else:
        assert stored == recorded
