"""Finding SQS queues, and making them: the queue itself and the dead-letter queue that its redrive policy names."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.queues.base import QueueUnavailable
from events.queues.sqs.client import SqsConnection, SqsSettings
from events.queues.sqs.errors import QueueMissing

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeFilterType

KEPT_SECONDS = 1_209_600
"""Fourteen days, the longest SQS has: so long a dead letter waits for a person."""


def is_fifo(url_or_name: str) -> bool:
    """Whether a queue is FIFO, which SQS has in its name."""
    return url_or_name.endswith(".fifo")


def dead_name(name: str) -> str:
    """The dead-letter queue's name: `<name>-dead`, which of a FIFO queue is FIFO too."""
    return f"{name.removesuffix('.fifo')}-dead.fifo" if is_fifo(name) else f"{name}-dead"


def find_or_create(connection: SqsConnection, settings: SqsSettings) -> str:
    """The URL of the queue by its name; a missing one is made, where that is allowed. Raises `QueueUnavailable`."""
    try:
        return _find(connection, settings.name)
    except QueueMissing:
        if not settings.create:
            raise QueueUnavailable(
                f"There is no SQS queue {settings.name!r}. Create it, set SQS_QUEUE_URL or SQS_QUEUE_NAME to the one "
                "to use, or set SQS_CREATE_QUEUE=true."
            ) from None
    dead = _create(connection, dead_name(settings.name), {"MessageRetentionPeriod": str(KEPT_SECONDS)})
    arn = attributes_of(connection, dead, "QueueArn")["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": str(settings.max_receives)})
    attributes = {"VisibilityTimeout": str(settings.visibility_seconds), "RedrivePolicy": policy}
    return _create(connection, settings.name, attributes)


@dataclass(frozen=True, slots=True)
class DeadLetterTarget:
    """Where a queue's dead letters go, and after how many receives a message is one."""

    url: str
    receives: int


def dead_target(connection: SqsConnection, url: str) -> DeadLetterTarget | None:
    """Where the dead letters of the queue at `url` go; None: nowhere. Raises `QueueUnavailable`."""
    text = attributes_of(connection, url, "RedrivePolicy").get("RedrivePolicy")
    if not text:
        return None
    try:
        policy = json.loads(text)
        *_, account, name = policy["deadLetterTargetArn"].split(":")
        receives = int(policy["maxReceiveCount"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise QueueUnavailable(f"SQS: the redrive policy of {url} cannot be read: {text!r:.200}") from error
    try:
        return DeadLetterTarget(_find(connection, name, account), receives)
    except QueueMissing:
        return None  # what went there would be lost


def attributes_of(connection: SqsConnection, url: str, *names: "QueueAttributeFilterType") -> dict[str, str]:
    """Attributes of the queue at `url`, those of `names` that it has. Raises `QueueUnavailable`."""

    def get(client: "SQSClient") -> dict[str, str]:
        answer: dict[str, Any] = dict(client.get_queue_attributes(QueueUrl=url, AttributeNames=list(names)))
        return dict(answer.get("Attributes") or {})

    return connection.call(f"SQS: cannot read attributes of {url}", get)


def _find(connection: SqsConnection, name: str, account: str = "") -> str:
    def find(client: "SQSClient") -> str:
        if account:
            return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
        return client.get_queue_url(QueueName=name)["QueueUrl"]

    return connection.call(f"SQS: cannot look up {name}", find)


def _create(connection: SqsConnection, name: str, attributes: dict[str, str]) -> str:
    if is_fifo(name):
        attributes["FifoQueue"] = "true"

    def create(client: "SQSClient") -> str:
        # A dead-letter queue that is there already, with settings of its own, is as good.
        try:
            return client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]  # the stubs want literal keys
        except client.exceptions.QueueNameExists:
            return client.get_queue_url(QueueName=name)["QueueUrl"]

    return connection.call(f"SQS: cannot create {name}", create)
