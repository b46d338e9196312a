"""Finding SQS queues, and making them: the queue itself and the dead-letter queue that its redrive policy names."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.sqs_client import QueueMissing, QueueUnavailable, SqsSettings, explained

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient

KEPT_SECONDS = 1_209_600
"""Fourteen days, the longest SQS has: so long a dead letter waits for a person."""


def is_fifo(url_or_name: str) -> bool:
    """Whether a queue is FIFO, which SQS has in its name."""
    return url_or_name.endswith(".fifo")


def dead_name(name: str) -> str:
    """The dead-letter queue's name: `<name>-dead`, which of a FIFO queue is FIFO too."""
    return f"{name.removesuffix('.fifo')}-dead.fifo" if is_fifo(name) else f"{name}-dead"


def find_or_create(client: "SQSClient", settings: SqsSettings) -> str:
    """The URL of the queue by its name; a missing one is made, where that is allowed. Raises `QueueUnavailable`."""
    try:
        return _find(client, settings.name)
    except QueueMissing:
        if not settings.create:
            raise QueueUnavailable(
                f"There is no SQS queue {settings.name!r}. Create it, set SQS_QUEUE_URL or SQS_QUEUE_NAME to the one "
                "to use, or set SQS_CREATE_QUEUE=true."
            ) from None
    dead = _create(client, dead_name(settings.name), {"MessageRetentionPeriod": str(KEPT_SECONDS)})
    with explained(f"SQS: cannot ask {dead}"):
        arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(settings.max_receives)})
    attributes = {"VisibilityTimeout": str(settings.visibility_seconds), "RedrivePolicy": policy}
    return _create(client, settings.name, attributes)


@dataclass(frozen=True, slots=True)
class DeadLetterTarget:
    """Where a queue's dead letters go, and after how many receives a message is one."""

    url: str
    receives: int


def dead_target(client: "SQSClient", url: str) -> DeadLetterTarget | None:
    """Where the dead letters of the queue at `url` go; None: nowhere. Raises `QueueUnavailable`."""
    with explained(f"SQS: cannot ask {url}"):
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    text = answer.get("Attributes", {}).get("RedrivePolicy")
    if not text:
        return None
    policy = json.loads(text)
    *_, account, name = policy["deadLetterTargetArn"].split(":")
    try:
        return DeadLetterTarget(_find(client, name, account), int(policy["maxReceiveCount"]))
    except QueueMissing:
        return None  # what went there would be lost


def _find(client: "SQSClient", name: str, account: str = "") -> str:
    with explained(f"SQS: cannot look up {name}"):
        if account:
            return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        return client.get_queue_url(QueueName=name)["QueueUrl"]


def _create(client: "SQSClient", name: str, attributes: dict[str, str]) -> str:
    if is_fifo(name):
        attributes["FifoQueue"] = "true"
    with explained(f"SQS: cannot create {name}"):
        # A dead-letter queue that is there already, with settings of its own, is as good.
        try:
            return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]  # the stubs want literal keys
        except client.exceptions.QueueNameExists:
            return client.get_queue_url(QueueName=name)["QueueUrl"]
