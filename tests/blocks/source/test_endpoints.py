"""Several endpoints, of several ages: disagreement, options of their own, fields that one does not know."""

from copy import deepcopy

import pytest

from blocks.models import EndpointState, Transaction
from blocks.source.client import Limits
from blocks.source.endpoint_url import OPTIONS, AddressInvalid, parse_endpoints
from blocks.source.endpoints import open_endpoint
from blocks.source.queries import OPTIONAL, unknown_field
from replay.faults import Faults
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import Sync, assert_holds, coverage, stored_heights, sync, wait_until
from tests.conftest import recorded

pytestmark = [pytest.mark.indexer, pytest.mark.db, pytest.mark.django_db(transaction=True)]

LIMITS = Limits(timeout=5.0, max_bytes=1000, connections=3)


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded("test5-1")


def changed(recording: Recording, height: int) -> Recording:
    """The same chain, as a server would tell it that got one block wrong."""
    blocks = deepcopy(recording.blocks)
    blocks[height]["hash"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    return Recording.from_rows(blocks, recording.transactions)


def test_a_block_that_two_endpoints_tell_differently_is_stored_from_neither(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    with ReplaySource(recording) as one, ReplaySource(changed(recording, 205)) as other:
        with Sync(one.url, other.url) as running:
            wait_until(lambda: 205 in running.gaps() and coverage() == [(0, 204)])
            wait_until(lambda: any("from=205 to=205" in line for line in caplog.messages))
        said = next(line for line in caplog.messages if "from=205 to=205" in line)
        assert recording.blocks[205]["hash"] in said
        assert "AAAAAAAAAAA" in said
        for endpoint in running.synchronizer.endpoints.all:
            assert endpoint.url in said
    assert 205 not in stored_heights()


def test_a_dispute_that_ends_is_stored(recording: Recording) -> None:
    with ReplaySource(recording) as one:
        with ReplaySource(changed(recording, 205)) as other, Sync(one.url, other.url) as running:
            wait_until(lambda: 205 in running.gaps())
            port = other.port
        with ReplaySource(recording, port=port), Sync(one.url, other.url, until_tip=True) as running:
            running.finish()
    assert_holds(recording)


def test_endpoints_that_agree_are_no_trouble(recording: Recording) -> None:
    with ReplaySource(recording) as one, ReplaySource(recording) as other:
        sync(one.url, other.url)
    assert_holds(recording)
    assert list(EndpointState.objects.order_by("url").values_list("tip", "trouble")) == [(205, ""), (205, "")]


def test_fields_that_a_server_does_not_know_are_left_out_and_told_once(
    recording: Recording, caplog: pytest.LogCaptureFixture
) -> None:
    lacking = {"Block.proposer_address_raw", "Transaction.memo", "MsgCall.send", "MessageValue.MsgRun"}
    with ReplaySource(recording, faults=Faults(fields_removed=lacking)) as source:
        sync(source.url)
    assert coverage() == [(0, 205)]
    assert set(Transaction.objects.values_list("memo", flat=True)) == {""}
    told = [line for line in caplog.messages if "lacks a field" in line]
    assert len(told) == len(lacking)


def test_a_server_without_a_field_that_is_needed_is_left(recording: Recording) -> None:
    with ReplaySource(recording, faults=Faults(fields_removed={"Block.num_txs"})) as source, Sync(source.url):
        wait_until(lambda: EndpointState.objects.filter(trouble__contains="num_txs").exists())
    assert stored_heights() == []


def test_introspection_is_never_asked_for(recording: Recording) -> None:
    with ReplaySource(recording, faults=Faults(introspection_disabled=True)) as source:
        sync(source.url)
        assert not any("__schema" in served.query or "__type(" in served.query for served in source.requests)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Cannot query field "nope" on type "Block".', "Block.nope"),
        ('Unknown type "MsgRun".', "MsgRun"),
        ('Fragment cannot be spread here as objects of type "MessageValue" can never be of type "MsgRun".', "MsgRun"),
        ("max elements per query reached (10000)", None),
    ],
)
def test_what_a_validation_error_names_is_understood(message: str, expected: str | None) -> None:
    assert unknown_field(message) == expected


def test_nothing_that_balances_rest_on_is_optional() -> None:
    needed = {"Block.height", "Block.num_txs", "Block.hash", "Transaction.success", "Transaction.index"}
    assert not needed & OPTIONAL
    assert not any("Event" in name for name in OPTIONAL)


def test_an_endpoint_can_have_limits_of_its_own() -> None:
    own, plain = parse_endpoints(["http://host/graphql/query#connections=7&timeout=1.5", "http://host/"])
    assert open_endpoint(own, LIMITS).connections == 7
    assert open_endpoint(plain, LIMITS).connections == 3


@pytest.mark.parametrize("options", ["connections=0", "connections=x", "timeout=-1", "speed=3", "timeout="])
def test_options_without_sense_are_refused_by_name(options: str) -> None:
    name = options.split("=")[0]
    with pytest.raises(AddressInvalid, match=f"option {name} " if name in OPTIONS else "none of the options"):
        parse_endpoints([f"http://host/#{options}"])


def test_a_block_with_25000_transactions_is_read_in_pages() -> None:
    genesis = {"height": 0, "hash": "", "chain_id": "big", "time": "2026-01-01T00:00:00Z", "num_txs": 25_000}
    rows = [
        {"block_height": 0, "index": index, "hash": f"h{index}", "success": True, "response": {"events": []}}
        for index in range(25_000)
    ]
    big = Recording.from_rows([{**genesis, "total_txs": 25_000}], rows)
    with ReplaySource(big) as source:
        sync(source.url, window_transactions=9_999, seconds=60)
    assert Transaction.objects.count() == 25_000
