"""The unions of the wire: which member a recorded message or event is, and what a server shows of one it cannot name.

A recording may hold members that today's schema does not know. A real server answers those as ``UnexpectedMessage``
or ``UnknownEvent`` with the JSON text of the value, and so does this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MESSAGE_MEMBERS = frozenset(
    {
        "BankMsgSend",
        "MsgCall",
        "MsgAddPackage",
        "MsgRun",
        "MsgCreateSession",
        "MsgRevokeSession",
        "MsgRevokeAllSessions",
        "UnexpectedMessage",
    }
)
EVENT_MEMBERS = frozenset({"GnoEvent", "StorageDepositEvent", "StorageUnlockEvent", "UnknownEvent"})

FALLBACKS = {"MessageValue": "UnexpectedMessage", "Event": "UnknownEvent"}
"""For each union, the member that stands for every value of no known kind."""


def message_member(value: Mapping[str, Any]) -> str:
    """The member of union MessageValue that a recorded message is."""
    name = value.get("__typename")
    return name if name in MESSAGE_MEMBERS else "UnexpectedMessage"


def event_member(value: Mapping[str, Any]) -> str:
    """The member of union Event that a recorded event is."""
    name = value.get("__typename")
    return name if name in EVENT_MEMBERS else "UnknownEvent"


def raw_text(value: Mapping[str, Any], recorded_as: str) -> str:
    """The JSON text of a member that cannot be named: as recorded under ``recorded_as``, else made from its fields."""
    recorded = value.get(recorded_as)
    if isinstance(recorded, str):
        return recorded
    fields = {name: part for name, part in value.items() if name != "__typename"}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
