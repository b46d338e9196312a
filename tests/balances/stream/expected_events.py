"""What a stream must send, added up from the tables in plain Python."""

from collections.abc import Collection
from dataclasses import dataclass

from balances.models import Token, Transfer
from tests.balances.stream.stream_server import Event


@dataclass(frozen=True)
class Known:
    """A transfer that is in: its place, as ids begin with it, its accounts, and every spelling of its token."""

    place: str
    height: int
    accounts: frozenset[str]
    spellings: frozenset[str]


def known(first: int = 0, last: int = 10**9) -> list[Known]:
    """The transfers of heights `first` to `last`, in the chain's order."""
    rows = Transfer.objects.filter(block_height__range=(first, last)).select_related(
        "token", "from_account", "to_account"
    )
    return [
        Known(
            f"{row.block_height}-{row.tx_index}-{row.event_index}",
            row.block_height,
            frozenset(account.address for account in (row.from_account, row.to_account) if account),
            _spelled(row.token),
        )
        for row in rows.order_by("block_height", "tx_index", "event_index")
    ]


def _spelled(token: Token) -> frozenset[str]:
    plain = {token.path, token.key}
    with_colon = {f"{token.realm}:{text[len(token.realm) + 1 :]}" for text in plain - {token.realm}}
    return frozenset(plain | with_colon | {token.realm, token.realm.split("#")[0]})


def wanted(rows: Collection[Known], addresses: Collection[str] = (), tokens: Collection[str] = ()) -> list[str]:
    """The places of those that are from or to one of `addresses` and of one of `tokens`."""
    return [
        row.place
        for row in rows
        if (not addresses or row.accounts & set(addresses)) and (not tokens or row.spellings & set(tokens))
    ]


def places(events: Collection[Event]) -> list[str]:
    """The places of transfers that were sent; nothing else may be among them."""
    assert {event.name for event in events} <= {"transfer"}
    for event in events:
        body = event.data
        assert event.id.split("@")[0] == f"{body['blockHeight']}-{body['txIndex']}-{body['eventIndex']}"
    return [event.id.split("@")[0] for event in events]
