"""Parts made from settings: the one place where the rooms of the project meet."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.conf import settings

from blocks.source.endpoint_url import parse_endpoints
from blocks.source.payloads import TransactionAnswer
from blocks.sync.synchronizer import SyncSettings
from events.outbox.message_limit import MessageLimit
from events.outbox.recorder import Recorder
from events.parsing.profiles import Profile, profile_for
from events.queues.base import Queue
from events.queues.postgres import PostgresQueue

if TYPE_CHECKING:
    from events.queues.sqs.queue import SqsQueue
    from events.queues.sqs.relay import Relay


def sync_settings() -> SyncSettings:
    return SyncSettings(
        urls=parse_endpoints(settings.TX_INDEXER_URLS, settings.TX_INDEXER_PROXY),
        chain_id=settings.CHAIN_ID,
        start_height=settings.START_HEIGHT,
        connections=settings.SYNC_CONNECTIONS,
        window_blocks=settings.SYNC_WINDOW_BLOCKS,
        window_transactions=settings.SYNC_WINDOW_TRANSACTIONS,
        max_answer_bytes=settings.SYNC_MAX_ANSWER_BYTES,
        timeout=settings.SYNC_TIMEOUT_SECONDS,
        poll=settings.SYNC_POLL_SECONDS,
    )


def profile(chain_id: str) -> Profile:
    """The rules by which token events of this chain are believed."""
    return profile_for(chain_id, libraries=settings.GRC20_LIBRARY_PATHS, unsigned=settings.GRC20_UNSIGNED_AMOUNTS)


def record_events(chain_id: str, transactions: Sequence[TransactionAnswer], limit: MessageLimit | None = None) -> None:
    """What the synchronizer calls for the transactions it stores: their token events go to the outbox.

    `limit`: what a relay of the same process knows of the queue; None: the configured size.
    """
    max_message_bytes = settings.SQS_MAX_MESSAGE_BYTES if limit is None else limit.bytes
    Recorder(chain_id, profile(chain_id), max_message_bytes).record(transactions)


def sqs_queue() -> "SqsQueue":
    from events.queues.sqs.queue import SqsQueue, SqsSettings  # boto3 is slow to import, and only SQS needs it

    return SqsQueue(
        SqsSettings(
            url=settings.SQS_QUEUE_URL,
            name=settings.SQS_QUEUE_NAME,
            region=settings.SQS_REGION,
            create=settings.SQS_CREATE_QUEUE,
            visibility_seconds=settings.SQS_VISIBILITY_SECONDS,
            max_receives=settings.SQS_MAX_RECEIVES,
            max_message_bytes=settings.SQS_MAX_MESSAGE_BYTES,
        )
    )


def relay(stop: threading.Event) -> "Relay":
    """Raises `QueueUnavailable` when SQS is not configured."""
    from events.queues.sqs.relay import Relay  # as above

    return Relay(sqs_queue(), settings.OUTBOX_REPUBLISH_SECONDS, stop)


@contextmanager
def open_dead_letter_queue() -> Iterator["SqsQueue | None"]:
    """Open the queue that keeps dead letters; None with QUEUE=postgres. Raises `QueueUnavailable`."""
    if settings.QUEUE != "sqs":
        yield None
        return
    made = sqs_queue()
    try:
        yield made
    finally:
        made.close()


def queue() -> Queue:
    if settings.QUEUE == "sqs":
        return sqs_queue()
    return PostgresQueue()
