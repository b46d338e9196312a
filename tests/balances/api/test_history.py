"""Transfers: which, in which order, and what is said of each."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from balances.models import Account, Token, Transfer
from replay.recording import Recording
from tests.balances.api.client import Api, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HISTORY = "/tokens/transfer-history"
FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"
FACTORY = "gno.land/r/demo/defi/grc20factory"


def places(rows: list[Row]) -> list[tuple[int, int, int]]:
    return [(row["blockHeight"], row["txIndex"], row["eventIndex"]) for row in rows]


def recorded_transfers(recording: Recording) -> dict[tuple[int, int, int], dict[str, str]]:
    """Library transfers of successful transactions, straight from the recording."""
    return {
        (transaction["block_height"], transaction["index"], position): {
            attribute["key"]: attribute["value"] for attribute in event["attrs"]
        }
        for transaction in recording.transactions
        if transaction["success"]
        for position, event in enumerate(transaction["response"]["events"])
        if event.get("type") == "Transfer" and event.get("pkg_path") == "gno.land/p/demo/tokens/grc20"
    }


def test_every_transfer_is_there_once_newest_first(gnotest: Recording, api: Api) -> None:
    rows = api.rows(HISTORY, limit=97)
    assert places(rows) == sorted(places(rows), reverse=True)
    library = [row for row in rows if row["tokenPath"].count(".") > 1]
    assert len(set(places(rows))) == len(rows)
    expected = recorded_transfers(gnotest)
    assert set(places(library)) == set(expected)
    for row, place in zip(library, places(library), strict=True):
        said = expected[place]
        assert (row["fromAddress"], row["toAddress"], row["tokenPath"], str(row["amount"])) == (
            said["from"],
            said["to"],
            said["token"],
            said["value"],
        )


def test_a_transfer_says_its_kind_and_where_in_the_chain_it_is(gnotest: Recording, api: Api) -> None:
    times = {block["height"]: block["time"] for block in gnotest.blocks}
    hashes = {(row["block_height"], row["index"]): row["hash"] for row in gnotest.transactions}
    kinds = set()
    for row in api.rows(HISTORY, limit=1000):
        kind = "mint" if not row["fromAddress"] else "burn" if not row["toAddress"] else "transfer"
        kinds.add(kind)
        assert row["type"] == kind
        assert row["txHash"] == hashes[row["blockHeight"], row["txIndex"]]
        recorded = datetime.fromisoformat(times[row["blockHeight"]]).astimezone(UTC)
        assert row["blockTime"] == recorded.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert kinds == {"mint", "burn", "transfer"}


def test_an_account_sees_what_it_sent_and_what_it_received(gnotest: Recording, api: Api) -> None:
    everything = api.rows(HISTORY, limit=1000)
    for address in {row["toAddress"] for row in everything[:200]} - {""}:
        mine = [row for row in everything if address in (row["fromAddress"], row["toAddress"])]
        assert api.rows(HISTORY, address=address, limit=9) == mine


def test_history_of_a_token_by_id_key_and_realm(gnotest: Recording, api: Api) -> None:
    everything = api.rows(HISTORY, limit=1000)
    foo = [row for row in everything if row["tokenPath"] == FOO]
    assert foo
    for spelling in (FOO, "gno.land/r/demo/defi/foo20.FOO", "gno.land/r/demo/defi/foo20"):
        assert api.rows(HISTORY, token=spelling, limit=50) == foo
    factory = [row for row in everything if row["tokenPath"].startswith(FACTORY)]
    assert len({row["tokenPath"] for row in factory}) > 1
    assert api.rows(HISTORY, token=FACTORY, limit=11) == factory


def test_history_of_an_account_and_a_token(gnotest: Recording, api: Api) -> None:
    everything = api.rows(HISTORY, limit=1000)
    busy = next(row["toAddress"] for row in everything if row["tokenPath"] == FOO and row["type"] == "transfer")
    for token in (FOO, FACTORY):
        mine = [
            row
            for row in everything
            if row["tokenPath"].startswith(token) and busy in (row["fromAddress"], row["toAddress"])
        ]
        assert api.rows(HISTORY, address=busy, token=token, limit=3) == mine


def test_a_transfer_to_oneself_appears_once(gnotest: Recording, api: Api) -> None:
    account = Account.objects.get(address="g100qwkhfyhl7q74x3xa3x48t0egut6048feywnz")
    token = Token.objects.get(path=FOO)
    for event_index in range(5):
        Transfer.objects.create(
            block_height=9000,
            tx_index=0,
            event_index=event_index,
            token=token,
            from_account=account,
            to_account=account,
            amount=Decimal(1),
        )
    rows = api.rows(HISTORY, address=account.address, limit=2)
    assert places(rows)[:5] == [(9000, 0, 4), (9000, 0, 3), (9000, 0, 2), (9000, 0, 1), (9000, 0, 0)]
    assert len(places(rows)) == len(set(places(rows)))
    assert (rows[0]["blockTime"], rows[0]["txHash"]) == (None, None), "no block of this height is stored"
