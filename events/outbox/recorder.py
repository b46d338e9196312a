"""From stored transactions to outbox messages and refused events, in the database transaction that stores them."""

from collections.abc import Iterable
from dataclasses import dataclass

from events.models import RefusedEvent
from events.outbox import store
from events.outbox.message import Packer
from events.parsing.derivation import RecordedTransaction, derive, refused_event
from events.parsing.grc20 import Movement, NewToken
from events.parsing.profiles import Profile


@dataclass
class Recorder:
    """Records the token events of transactions that are being stored.

    Called inside the caller's database transaction, so messages and blocks commit together or not at all.
    """

    chain_id: str
    profile: Profile
    max_message_bytes: int

    def record(self, transactions: Iterable[RecordedTransaction]) -> None:
        """Write outbox messages and refused events for `transactions`, which are in (height, index) order."""
        packer = Packer(self.chain_id, self.max_message_bytes)
        refused = []
        for one in derive(transactions, self.profile):
            height, tx_index, event_index, said, _ = one
            if isinstance(said, Movement):
                packer.add_transfer(
                    height, tx_index, event_index, said.token, said.standard, said.sender, said.recipient, said.amount
                )
            elif isinstance(said, NewToken):
                packer.add_announcement(
                    height, tx_index, event_index, said.token, said.name, said.symbol, said.decimals
                )
            else:
                refused.append(refused_event(one, said))
        store.add(packer.messages())
        # The same transactions may be recorded again after a repair: what is refused is refused once.
        RefusedEvent.objects.bulk_create(refused, ignore_conflicts=True, batch_size=2000)
