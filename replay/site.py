"""What one source serves and remembers, whichever way it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from replay.chain import Address, Subscribers
from replay.faults import Faults
from replay.operations import Operation, prepare
from replay.roots import ListRequest
from replay.schema import build_schema


class ServedQuery(NamedTuple):
    """One GraphQL request over HTTP, and the status it was answered with."""

    query: str
    variables: dict[str, Any]
    status: int


@dataclass
class Site:
    """A source behind its addresses: the chain, the faults, the subscribers, and the requests so far."""

    address: Address
    cap: int
    subscribers: Subscribers = field(default_factory=Subscribers)
    requests: list[ServedQuery] = field(default_factory=list)

    @property
    def faults(self) -> Faults:
        """The faults that are on now."""
        return self.address.faults

    def ask(self) -> ListRequest:
        """What the next operation works with."""
        return ListRequest(self.address.chain, self.subscribers, self.cap)

    def prepare(self, query: str, name: str | None, variables: dict[str, Any]) -> Operation:
        """Check an operation against the schema of now. Raises :class:`replay.operations.Refused`."""
        return prepare(build_schema(frozenset(self.faults.fields_removed)), query, name, variables)
