"""From stored transactions to outbox messages and refused events, in the database transaction that stores them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from blocks.storable import storable
from events import outbox
from events.decoding import decode_events
from events.grc20 import Event, Movement, NewToken, Refusal, classify
from events.message import Packer
from events.models import RefusedEvent
from events.profiles import Profile


class RecordedTransaction(Protocol):
    """What the recorder reads of a transaction; `events` is the JSON list as stored."""

    @property
    def block_height(self) -> int: ...
    @property
    def index(self) -> int: ...
    @property
    def success(self) -> bool: ...
    @property
    def events(self) -> Any: ...


@dataclass
class Recorder:
    """Records the token events of transactions that are being stored.

    Called inside the caller's database transaction, so messages and blocks commit together or not at all.
    """

    chain_id: str
    profile: Profile
    max_message_bytes: int
    _refused: list[RefusedEvent] = field(default_factory=list, init=False)

    def record(self, transactions: Iterable[RecordedTransaction]) -> None:
        """Write outbox messages and refused events for `transactions`, which are in (height, index) order."""
        packer = Packer(self.chain_id, self.max_message_bytes)
        self._refused = []
        for transaction in transactions:
            # A failed transaction moves nothing, whatever a server may say it emitted.
            if transaction.success:
                for index, event in enumerate(decode_events(transaction.events)):
                    self._take(packer, transaction.block_height, transaction.index, index, event)
        outbox.add(packer.messages())
        # The same transactions may be recorded again after a repair: what is refused is refused once.
        RefusedEvent.objects.bulk_create(self._refused, ignore_conflicts=True, batch_size=2000)

    def _take(self, packer: Packer, height: int, tx_index: int, event_index: int, event: Event) -> None:
        said = classify(event, self.profile)
        if isinstance(said, Movement):
            packer.add_transfer(
                height, tx_index, event_index, said.token, said.standard, said.sender, said.recipient, said.amount
            )
        elif isinstance(said, NewToken):
            packer.add_announcement(height, tx_index, event_index, said.token, said.name, said.symbol, said.decimals)
        elif isinstance(said, Refusal):
            self._refused.append(
                RefusedEvent(
                    block_height=height,
                    tx_index=tx_index,
                    event_index=event_index,
                    emitter=storable(event.pkg_path or ""),
                    type=storable(event.type or ""),
                    attributes=None if event.attrs is None else [[a.key, a.value] for a in event.attrs],
                    reason=said.reason,
                    detail=storable(said.detail),
                )
            )
