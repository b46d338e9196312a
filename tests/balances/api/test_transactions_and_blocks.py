"""`/transactions/{hash}` and `/blocks/{height}`: what the chain holds, with the transfers and refused events in it."""

from base64 import b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
from django.test import Client

from events.models import RefusedEvent
from replay.recording import Recording
from tests.balances.api.client import Api, Row
from tests.balances.api.test_pages import PROGRESS_AND_VERSION

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HISTORY = "/tokens/transfer-history"
REFUSED = "/events/refused"
AIRDROP = 56


def of_transaction(rows: list[Row], height: int, index: int) -> list[Row]:
    """The rows of one transaction, in chain order, from rows that are newest first."""
    return [row for row in reversed(rows) if (row["blockHeight"], row["txIndex"]) == (height, index)]


def all_of(api: Api, body: Row, key: str) -> list[Row]:
    """The rows that are shown, and those that follow, page by page."""
    rows: list[Row] = list(body[key])
    if body[f"{key}Next"]:
        rows += [row for page in api.pages(body[f"{key}Next"]) for row in page]
    return rows


def test_every_recorded_transaction_is_found_by_its_hash_with_what_it_did(gnotest: Recording, api: Api) -> None:
    transfers, refused = api.rows(HISTORY, limit=1000), api.rows(REFUSED, limit=1000)
    times = {block["height"]: block["time"] for block in gnotest.blocks}
    for row in gnotest.transactions[::13]:
        (found,) = api.get(f"/transactions/{row['hash']}")["transactions"]
        fee = row["gas_fee"] or {"amount": "", "denom": ""}
        expected = {
            "txHash": row["hash"],
            "blockHeight": row["block_height"],
            "txIndex": row["index"],
            "success": row["success"],
            "gasWanted": row["gas_wanted"],
            "gasUsed": row["gas_used"],
            "gasFee": f"{fee['amount']}{fee['denom']}" if fee["denom"] else "",
            "memo": row["memo"],
            "error": row["response"]["error"],
        }
        assert expected.items() <= found.items()
        assert found["blockTime"][:19] == times[row["block_height"]][:19]
        place = row["block_height"], row["index"]
        assert found["transfers"] == of_transaction(transfers, *place)[:100]
        assert found["refusedEvents"] == of_transaction(refused, *place)[:100]


def test_a_hash_may_be_spelled_in_base64_for_urls_or_in_hexadecimal(gnotest: Recording, client: Client) -> None:
    awkward = next(row["hash"] for row in gnotest.transactions if "/" in row["hash"] and "+" in row["hash"])
    raw = b64decode(awkward)
    answers = [
        client.get(f"/transactions/{spelled}").json()["transactions"]
        for spelled in (
            awkward,
            awkward + "/",
            awkward.rstrip("="),
            quote(awkward, safe=""),
            awkward.replace("+", "-").replace("/", "_"),
            awkward.replace("+", "-").replace("/", "_").rstrip("="),
            raw.hex(),
            raw.hex().upper(),
            f"0x{raw.hex()}",
        )
    ]
    assert len(answers[0]) == 1
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "A" * 42, "A" * 44, "A" * 43 + "==", "A" * 42 + "F=", "a" * 63, "0x" + "g" * 64, "é" * 43, "%00", "A%0A"],
)
def test_a_hash_that_is_none_is_refused(api: Api, wrong: str) -> None:
    assert api.problem(f"/transactions/{quote(wrong, safe='%')}", 400)["parameter"] == "hash"


@pytest.mark.parametrize("wrong", ["", "x", "-1", "1.0", "9" * 30, str(2**63), " 1", "1\n", "٣"])
def test_a_height_that_is_none_is_refused(api: Api, wrong: str) -> None:
    assert api.problem(f"/blocks/{quote(wrong)}", 400)["parameter"] == "height"


def test_a_transaction_with_many_transfers_shows_the_first_and_leads_to_the_others(
    gnotest: Recording, api: Api
) -> None:
    (row,) = (row for row in gnotest.transactions if row["block_height"] == AIRDROP)
    (found,) = api.get(f"/transactions/{row['hash']}")["transactions"]
    assert len(found["transfers"]) == 100
    assert all_of(api, found, "transfers") == of_transaction(api.rows(HISTORY, limit=1000), AIRDROP, row["index"])
    (found,) = api.get(f"/transactions/{row['hash']}", amounts="string")["transactions"]
    assert {type(each["amount"]) for each in all_of(api, found, "transfers")} == {str}


def test_every_recorded_block_is_there_with_what_is_in_it(gnotest: Recording, api: Api) -> None:
    transfers, refused = api.rows(HISTORY, limit=1000), api.rows(REFUSED, limit=1000)
    for row in [*gnotest.blocks[:3], *gnotest.blocks[50::29]]:
        height = row["height"]
        found = api.get(f"/blocks/{height}", limit=1000)
        assert (
            found["block"].items()
            >= {
                "height": height,
                "hash": row["hash"],
                "lastBlockHash": row["last_block_hash"],
                "numTxs": row["num_txs"],
                "totalTxs": row["total_txs"],
                "proposerAddress": row["proposer_address_raw"],
            }.items()
        )
        assert found["block"]["time"][:19] == row["time"][:19]
        assert found["transfers"] == [each for each in reversed(transfers) if each["blockHeight"] == height]
        assert found["refusedEvents"] == [each for each in reversed(refused) if each["blockHeight"] == height]
        assert (found["transfersNext"], found["refusedEventsNext"]) == (None, None)


def test_a_block_with_much_in_it_shows_the_first_and_leads_to_the_others(gnotest: Recording, api: Api) -> None:
    RefusedEvent.objects.bulk_create(
        RefusedEvent(
            block_height=AIRDROP, tx_index=0, event_index=1000 + n, emitter="x", type="t", reason="no_realm", detail="d"
        )
        for n in range(150)
    )
    whole = api.get(f"/blocks/{AIRDROP}", limit=1000)
    for limit in (1, 100):
        body = api.get(f"/blocks/{AIRDROP}", limit=limit)
        for key in ("transfers", "refusedEvents"):
            assert body[key] == whole[key][:limit]
            assert all_of(api, body, key) == whole[key]
    (found,) = api.get(f"/transactions/{whole['transfers'][0]['txHash']}")["transactions"]
    assert all_of(api, found, "refusedEvents") == whole["refusedEvents"]


def test_answers_are_as_the_schema_says_and_not_sent_twice(gnotest: Recording, client: Client, api: Api) -> None:
    schema = client.get("/schema", headers={"Accept": "application/json"}).json()
    tx_hash = next(row["hash"] for row in gnotest.transactions if row["block_height"] == AIRDROP)
    for path, shape in ((f"/transactions/{tx_hash}", "Transactions"), (f"/blocks/{AIRDROP}", "BlockAnswer")):
        response = client.get(path)
        body = response.json()
        jsonschema.validate(body, {"$ref": f"#/components/schemas/{shape}", **schema})
        assert set(body) == set(schema["components"]["schemas"][shape]["properties"])
        assert client.get(path, headers={"If-None-Match": response["ETag"]}).status_code == 304
        assert "amount" in api.problem(path, 400, wrong=1)["detail"]


def test_each_costs_a_fixed_number_of_queries(
    gnotest: Recording, api: Api, django_assert_num_queries: Callable[[int], Any]
) -> None:
    several = next(row["hash"] for row in gnotest.transactions if row["block_height"] == AIRDROP)
    one = gnotest.transactions[-1]["hash"]
    for tx_hash in (one, several):
        with django_assert_num_queries(PROGRESS_AND_VERSION + 3):
            api.get(f"/transactions/{tx_hash}")
    for height in (0, AIRDROP, 485):
        for limit in (1, 100):
            with django_assert_num_queries(PROGRESS_AND_VERSION + 3):
                api.get(f"/blocks/{height}", limit=limit)
