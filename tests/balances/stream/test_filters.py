"""Each listener gets what it wants and nothing else, of what is old and of what is new."""

from collections.abc import Collection

import pytest

from balances.api.params.addresses import is_address
from balances.models import Token
from balances.stream import pages
from blocks.models import Chain
from events.models import OutboxMessage
from events.outbox.message import decode
from events.parsing.grc20 import split_token
from tests.balances.stream.expected_events import known, places, wanted
from tests.balances.stream.stream_server import Client, Server, serving
from tests.chains import apply_pending, fill_database, store_heights
from tests.conftest import recorded

pytestmark = [pytest.mark.db, pytest.mark.api]

Filter = tuple[tuple[str, ...], tuple[str, ...]]
"""Addresses and tokens."""


def filters(accounts: Collection[str], paths: Collection[str]) -> list[Filter]:
    """Every account, every spelling of every token, and some of both."""
    accounts, spellings = sorted(filter(is_address, accounts)), sorted(set().union(*map(spelled, paths)))
    return [
        *(((account,), ()) for account in accounts),
        *(((), (spelling,)) for spelling in spellings),
        *(((account,), (spelling,)) for account, spelling in zip(accounts, spellings, strict=False)),
        (tuple(accounts[:20]), ()),
        ((), tuple(spellings[:20])),
        (tuple(accounts[1:20:2]), tuple(spellings[1:20:2])),
        ((), ()),
    ]


def spelled(path: str) -> set[str]:
    split = split_token(path)
    if split is None:
        return {path}
    realm, symbol = split
    return {path, f"{realm}.{symbol}", f"{realm}:{symbol}", realm, realm.split("#")[0]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("name", "start", "end"), [("gnotest-1", 12, 50), ("test5-1", 65, 150)])
def test_of_what_is_old_and_of_what_is_new(monkeypatch: pytest.MonkeyPatch, name: str, start: int, end: int) -> None:
    """Accounts and tokens that are seen for the first time while they are listened for are among them."""
    monkeypatch.setattr(pages, "PAGE_ROWS", 50)
    fill_database(name, last=start)
    store_heights(recorded(name), start + 1, end)
    chain_id = Chain.objects.get().chain_id
    messages = [decode(body, chain_id) for body in OutboxMessage.objects.values_list("body", flat=True)]
    asked = filters(
        {account for message in messages for account in message.accounts},
        {path for message in messages for path, _ in message.tokens},
    )
    assert len(asked) > 15
    old = set(Token.objects.values_list("path", flat=True))
    with serving() as server:
        clients = {each: listen(server, *each) for each in asked}
        server.settle(start)
        apply_pending()
        server.settle(end)
        sent = {}
        for each, client in clients.items():
            client.take("progress")
            sent[each] = places(client.until_beat() + client.until_beat())
    rows = known()
    assert sent == {each: wanted(rows, *each) for each in asked}
    assert sum(map(bool, sent.values())) > 15
    new = {row.place for row in rows if row.spellings.isdisjoint(old)}
    assert new or name != "test5-1", "no token is seen for the first time"


def listen(server: Server, addresses: Collection[str], tokens: Collection[str]) -> Client:
    return server.listen(fromHeight=0, address=",".join(addresses), token=",".join(tokens))
