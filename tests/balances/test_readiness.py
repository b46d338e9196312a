"""Ready to answer, by what is stored: near the tip, and going on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from balances.indexed_height import read_indexed_height
from balances.readiness import why_not_ready
from blocks import store
from blocks.models import AcceptedGap, Chain, EndpointState
from blocks.store import EndpointReport
from events.models import OutboxMessage

pytestmark = [pytest.mark.db, pytest.mark.django_db]

LAG, STALL = 5, 60


def ago(seconds: float) -> Any:
    return Now() - timedelta(seconds=seconds)


@pytest.fixture
def chain() -> None:
    """Everything up to the tip is in, and an endpoint was just seen."""
    EndpointState.objects.create(url="http://a/", tip=100, trouble="", seen_at=ago(1), answered_at=ago(1))
    Chain.objects.create(chain_id="c-1", coverage=[(0, 100)], tip=100, tip_seen_at=ago(9000))


def change(**fields: Any) -> None:
    Chain.objects.update(**fields)


def reason() -> str | None:
    return why_not_ready(read_indexed_height(), LAG, STALL)


def message(height: int, **fields: Any) -> OutboxMessage:
    return OutboxMessage.objects.create(first_height=height, last_height=height, transfers=1, body="{}", **fields)


def test_before_anything_is_stored_nothing_is_ready() -> None:
    assert reason() == "Nothing is stored yet."


@pytest.mark.usefixtures("chain")
def test_a_chain_that_stands_still_with_everything_in_is_ready_however_long() -> None:
    assert reason() is None


@pytest.mark.usefixtures("chain")
def test_so_many_heights_may_be_missing_and_no_more() -> None:
    change(coverage=[(0, 95)])
    assert reason() is None
    change(coverage=[(0, 94)])
    assert reason() == "Indexed up to height 94 of 100, 6 behind. Allowed are 5 (READY_MAX_LAG)."
    AcceptedGap.objects.create(first_height=95, last_height=96, reason="lost")
    assert reason() is None, "what a person accepted is not waited for"


@pytest.mark.usefixtures("chain")
def test_what_is_stored_and_not_applied_counts_as_missing() -> None:
    message(94)
    assert "Indexed up to height 93 of 100" in str(reason())


@pytest.mark.usefixtures("chain")
def test_a_height_may_wait_to_be_applied_for_so_long() -> None:
    first, other = message(97, created_at=ago(50)), message(99, created_at=ago(70))
    assert reason() is None, "what holds the indexed height back is not that old"
    OutboxMessage.objects.filter(id=first.id).update(created_at=ago(65))
    assert str(reason()).startswith("Height 97 waits to be applied, for 65 s now. Allowed are 60 s")
    OutboxMessage.objects.filter(id=first.id).update(set_aside_at=Now())
    assert "Height 97 waits" in str(reason()), "nobody applies it"
    OutboxMessage.objects.filter(id=first.id).update(applied_at=Now(), set_aside_at=None)
    assert "Height 99 waits to be applied, for 70 s now" in str(reason())
    OutboxMessage.objects.filter(id=other.id).update(applied_at=Now())
    assert reason() is None


@pytest.mark.usefixtures("chain")
def test_a_height_may_be_missing_for_so_long() -> None:
    change(coverage=[(0, 97), (99, 100)], waiting_height=98, waiting_since=ago(55))
    assert reason() is None
    change(waiting_since=ago(61))
    assert str(reason()).startswith("Height 98 is missing, for 61 s now. Allowed are 60 s (READY_STALL_SECONDS)")
    change(coverage=[(0, 98)])
    assert reason() is None, "it came, and the synchronizer has not said so yet"


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([], "No endpoint said how far the chain is. Allowed"),
        ([("", 100, 61)], "No endpoint said for 61 s how far the chain is (http://0/ is not heard of)"),
        ([("HTTP 500", 100, 61)], "No endpoint said for 61 s how far the chain is (http://0/ HTTP 500)"),
        (
            [("HTTP 500", -1, None), ("behind", 14, 90)],
            "for 90 s how far the chain is (http://0/ HTTP 500; http://1/ beh",
        ),
        ([("", 14, 61)], "(http://0/ is behind, at height 14)"),
        ([("HTTP 500", -1, None)], "No endpoint said how far"),
        ([("HTTP 500", 100, 59)], None),
        ([("behind", 14, 59)], None),
        ([("HTTP 500", -1, None), ("", 100, 59)], None),
    ],
)
def test_a_level_endpoint_has_to_say_how_far_the_chain_is(
    states: list[tuple[str, int, int | None]], said: str | None
) -> None:
    EndpointState.objects.all().delete()
    for number, (trouble, tip, seconds) in enumerate(states):
        EndpointState.objects.create(
            url=f"http://{number}/",
            tip=tip,
            trouble=trouble,
            seen_at=ago(1),
            answered_at=None if seconds is None else ago(seconds),
        )
    assert said in str(reason()) if said else reason() is None


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("tip", "trouble"), [(100, "HTTP 502"), (14, "behind"), (14, ""), (-1, "no answer within 5 s"), (100, "refused")]
)
def test_an_endpoint_that_fails_or_falls_back_is_no_reason_before_its_time(tip: int, trouble: str) -> None:
    now = datetime.now(UTC)
    store.report_endpoints([EndpointReport("http://a/", 100, "", now - timedelta(seconds=1))])
    for seconds, ready in ((2, True), (STALL - 5, True), (STALL + 5, False)):
        EndpointState.objects.update(answered_at=ago(seconds))
        # Whatever it answers meanwhile is of no use, however lately.
        store.report_endpoints([EndpointReport("http://a/", tip, trouble, now)])
        assert (reason() is None) is ready
    store.report_endpoints([EndpointReport("http://a/", 101, "", now)])
    assert reason() is None


def test_what_a_synchronizer_that_starts_does_not_know_yet_is_kept() -> None:
    Chain.objects.create(chain_id="c-1", coverage=[(0, 100)], tip=100)
    store.report_endpoints([EndpointReport("http://a/", 100, "", datetime.now(UTC))])
    store.report_endpoints([EndpointReport("http://a/", -1, "", None)])
    assert reason() is None


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize("stored", [True, False])
def test_two_blocks_that_do_not_link_are_a_reason_at_once(stored: bool) -> None:
    change(conflict="Block 40 (hash B) does not follow block 39 (hash A).", conflict_height=40, conflict_stored=stored)
    assert reason() == (
        "Block 40 (hash B) does not follow block 39 (hash A). "
        'See "The chain was reset" in docs/operations.md.'
    )  # fmt: skip
