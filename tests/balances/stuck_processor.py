"""A processor that stops for ever at a chosen instruction, so that a test can kill it there.

    python -m tests.balances.stuck_processor before-commit [SQS queue URL]
    python -m tests.balances.stuck_processor before-acknowledgement SQS-queue-URL

It says "stuck" on standard output when it is there, and ends by itself when its standard input does.
"""

import sys
from collections.abc import Sequence
from typing import Any

import django


def main(where: str, url: str = "") -> None:
    django.setup()

    from events.outbox import store
    from events.queues.postgres import PostgresQueue
    from events.queues.sqs.queue import SqsQueue, SqsSettings
    from tests.balances.ledger_factories import processor

    def stick(*arguments: Any) -> None:
        sys.stdout.write("stuck\n")
        sys.stdout.flush()
        sys.stdin.read()
        sys.exit()

    mark_applied = store.mark_applied

    def mark_and_stick(ids: Sequence[int]) -> None:
        mark_applied(ids)
        stick()

    if where == "before-commit":
        store.mark_applied = mark_and_stick
    else:
        SqsQueue._acknowledge = stick  # type: ignore[assignment,method-assign]  # this is the place to stop at
    settings = SqsSettings(url=url, name="", region="", create=False, visibility_seconds=1)
    one = processor(SqsQueue(settings) if url else PostgresQueue())
    while True:
        one.process_batch(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
