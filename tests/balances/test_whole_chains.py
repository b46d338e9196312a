"""Whole recorded chains through outbox, queue and processors: the chain's own balances, whatever happens on the way."""

import json
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from balances.models import Token, TokenTotals
from balances.processor import Processor
from events.models import OutboxMessage
from events.outbox import store
from events.outbox.recorder import Recorder
from events.parsing.profiles import profile_for
from events.queues.sqs.queue import SqsQueue
from events.queues.sqs.relay import Relay
from tests.balances.ledger_factories import apply_all, balances, drain, expect_conserved, of
from tests.conftest import ROOT, recorded
from tests.events.factories import CHAIN

pytestmark = [pytest.mark.db, pytest.mark.django_db]

TWIN = "gno.land/r/g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf/vault.GOLD.0000001"


@dataclass
class Stored:
    """What the recorder reads of a transaction."""

    block_height: int
    index: int
    success: bool
    events: Any


def record(name: str, *, of_chain: str, window: int = 50, max_bytes: int = 16_384) -> None:
    """Put a recorded chain into the outbox, in windows of so many heights, as the synchronizer does."""
    profile = profile_for(of_chain, libraries=[], unsigned="auto")
    rows = recorded(name).transactions
    for first in range(0, rows[-1]["block_height"] + 1, window):
        stored = [
            Stored(row["block_height"], row["index"], row["success"], row["response"]["events"])
            for row in rows
            if first <= row["block_height"] < first + window
        ]
        with transaction.atomic():
            Recorder(CHAIN, profile, max_bytes).record(stored)


def expect_the_chains_own_balances(name: str) -> None:
    """Compare with the oracle; where events cannot give the chain's answer, with what events say."""
    oracle = json.loads((ROOT / "recordings" / name / "balances.json").read_text())
    supplies = {totals.token.path: int(totals.minted - totals.burned) for totals in TokenTotals.objects.all()}
    known = {(one["token"], one["address"]): one["events"] for one in oracle["known_differences"]}
    found = balances()
    for token, said in oracle["tokens"].items():
        expected = dict(said["balances"]) | {who: held for (t, who), held in known.items() if t == token and who}
        assert {who: held for (path, who), held in found.items() if path == token} == expected
        assert supplies.get(token, 0) == known.get((token, None), said["total_supply"])
    expect_conserved()


CHAINS = pytest.mark.parametrize(("name", "of_chain"), [("gnotest-1", "gnotest-1"), ("test5-1", "test5")])


@CHAINS
def test_a_recorded_chain_gives_the_chains_own_balances(name: str, of_chain: str) -> None:
    record(name, of_chain=of_chain)
    apply_all()
    expect_the_chains_own_balances(name)


@CHAINS
def test_a_chain_recorded_twice_with_other_windows_and_messages_gives_the_same(name: str, of_chain: str) -> None:
    record(name, of_chain=of_chain, window=1)
    record(name, of_chain=of_chain, window=77, max_bytes=262_144)
    apply_all()
    expect_the_chains_own_balances(name)


def test_a_token_announced_twice_is_marked_and_shows_what_events_say() -> None:
    record("gnotest-1", of_chain="gnotest-1")
    apply_all()
    assert Token.objects.get(path=TWIN).announcements == 2
    assert of(TWIN)["g1muvl8vv7wq3rktwvf5nc5tpzmlqyjyh9umljau"] == 777
    assert list(Token.objects.filter(announcements__gt=1).values_list("path", flat=True)) == [TWIN]


def test_every_token_of_the_chain_is_known_also_those_never_minted() -> None:
    record("gnotest-1", of_chain="gnotest-1")
    apply_all()
    silver = Token.objects.get(path__contains="SILVER")
    assert (silver.symbol, silver.decimals) == ("SILVER", 18)
    oracle = json.loads((ROOT / "recordings" / "gnotest-1" / "balances.json").read_text())
    assert set(Token.objects.filter(standard=True).values_list("path", flat=True)) == set(oracle["tokens"])


# Through SQS


@pytest.fixture
def relay(sqs_queue: SqsQueue) -> Relay:
    return Relay(sqs_queue, republish_after=60, stop=threading.Event())


def publish_all(relay: Relay) -> None:
    drain(relay.publish_once)


def process_all(queue: SqsQueue) -> Processor:
    one = Processor(queue, lambda: CHAIN, threading.Event())
    one.run(until_applied=True)
    return one


def later() -> None:
    """As if the time to publish again had passed."""
    OutboxMessage.objects.update(published_at=timezone.now() - timedelta(hours=1))


@pytest.mark.sqs
@CHAINS
def test_a_recorded_chain_through_sqs_gives_the_same(
    name: str, of_chain: str, relay: Relay, sqs_queue: SqsQueue
) -> None:
    record(name, of_chain=of_chain)
    publish_all(relay)
    process_all(sqs_queue)
    expect_the_chains_own_balances(name)


@pytest.mark.sqs
def test_purging_the_queue_loses_nothing(relay: Relay, sqs_queue: SqsQueue) -> None:
    record("gnotest-1", of_chain="gnotest-1", window=20)
    publish_all(relay)
    one = Processor(sqs_queue, lambda: CHAIN, threading.Event())
    one.process_batch(1)
    sqs_queue.connection.client().purge_queue(QueueUrl=sqs_queue.url())
    assert store.depth().pending > 0
    publish_all(relay)
    assert one.process_batch(0) == 0, "it is not yet time to publish again"
    later()
    publish_all(relay)
    process_all(sqs_queue)
    expect_the_chains_own_balances("gnotest-1")


@pytest.mark.sqs
def test_publishing_everything_again_while_it_is_processed_counts_nothing_twice(
    relay: Relay, sqs_queue: SqsQueue
) -> None:
    record("gnotest-1", of_chain="gnotest-1")
    publish_all(relay)
    one = Processor(sqs_queue, lambda: CHAIN, threading.Event())
    one.process_batch(1)
    later()
    publish_all(relay)
    OutboxMessage.objects.update(publishes=1)
    later()
    publish_all(relay)
    process_all(sqs_queue)
    drain(lambda: one.process_batch(1))
    expect_the_chains_own_balances("gnotest-1")
