"""A message as SQS has it: the body, and beside it, as a message attribute, the outbox row that it was sent for."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from events.queues.base import Delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

LABEL = "outbox_id"
_LABEL_TYPE = "Number"

MAX_BATCH_BYTES = 1_048_576
"""AWS bounds a whole request, not only each message."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


def as_entry(entry_id: str, body: str, label: int | None) -> "SendMessageBatchRequestEntryTypeDef":
    """One message to send; `entry_id` tells it from others of the same request."""
    made: SendMessageBatchRequestEntryTypeDef = {"Id": entry_id, "MessageBody": body}
    if label is not None:
        made["MessageAttributes"] = {LABEL: {"DataType": _LABEL_TYPE, "StringValue": str(label)}}
    return made


def message_bytes(body: str, label: int | None) -> int:
    """The size of a message as SQS measures it: the attributes' names, types and values count too."""
    return len(body.encode()) + (0 if label is None else len(LABEL) + len(_LABEL_TYPE) + len(str(label)))


def bytes_of(entry: "SendMessageBatchRequestEntryTypeDef") -> int:
    """See `message_bytes`."""
    attribute = entry.get("MessageAttributes", {}).get(LABEL)
    return message_bytes(entry["MessageBody"], None if attribute is None else int(attribute.get("StringValue", "0")))


def grouped(
    entries: "Sequence[SendMessageBatchRequestEntryTypeDef]", most_bytes: int
) -> "Iterator[list[SendMessageBatchRequestEntryTypeDef]]":
    """`entries` in order, in groups of at most `most_bytes`; one that is larger is a group by itself."""
    group: list[SendMessageBatchRequestEntryTypeDef] = []
    total = 0
    for entry in entries:
        size = bytes_of(entry)
        if group and total + size > most_bytes:
            yield group
            group, total = [], 0
        group.append(entry)
        total += size
    if group:
        yield group


def as_delivery(message: "MessageTypeDef") -> Delivery:
    """A message as it was received; a label that is no number is none."""
    attribute = message.get("MessageAttributes", {}).get(LABEL)
    text = "" if attribute is None else attribute.get("StringValue", "")
    return Delivery(message["MessageId"], message["Body"], label=int(text) if _NUMBER.fullmatch(text) else None)
