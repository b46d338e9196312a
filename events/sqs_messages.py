"""A message as SQS has it: the body, and beside it, as a message attribute, the outbox row that it was sent for."""

import re
from typing import TYPE_CHECKING

from events.queues import Delivery

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef, SendMessageBatchRequestEntryTypeDef

LABEL = "outbox_id"

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


def as_entry(entry_id: str, body: str, label: int | None) -> "SendMessageBatchRequestEntryTypeDef":
    """One message to send; `entry_id` tells it from others of the same request."""
    made: SendMessageBatchRequestEntryTypeDef = {"Id": entry_id, "MessageBody": body}
    if label is not None:
        made["MessageAttributes"] = {LABEL: {"DataType": "Number", "StringValue": str(label)}}
    return made


def as_delivery(message: "MessageTypeDef") -> Delivery:
    """A message as it was received; a label that is no number is none."""
    attribute = message.get("MessageAttributes", {}).get(LABEL)
    text = "" if attribute is None else attribute.get("StringValue", "")
    return Delivery(message["MessageId"], message["Body"], label=int(text) if _NUMBER.fullmatch(text) else None)
