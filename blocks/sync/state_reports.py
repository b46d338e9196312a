"""What only a running synchronizer knows, written where people and other processes can read it."""

import os
import socket
import time
from collections.abc import Sequence

from blocks import store
from blocks.links import ChainBreak
from blocks.source.endpoints import Endpoint, Endpoints
from blocks.sync.retries import Range

STANDBY_SECONDS = 2.0


class Reports:
    """The reports of one synchronizer, in the caller's database transaction."""

    def __init__(self) -> None:
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._incomplete: list[store.IncompleteReport] | None = None
        self._next_sign_of_life = 0.0

    def lead(self) -> None:
        """Show that it is alive, and the one that writes."""
        store.report_synchronizer(self._name, leads=True)

    def stand_by(self) -> None:
        """Show now and then that it is alive, and that another one writes."""
        if time.monotonic() >= self._next_sign_of_life:
            self._next_sign_of_life = time.monotonic() + STANDBY_SECONDS
            store.report_synchronizer(self._name, leads=False)

    def endpoints(self, endpoints: Sequence[Endpoint]) -> None:
        """Write the state of every endpoint."""
        store.report_endpoints(
            [store.EndpointReport(each.url, each.tip, each.trouble, each.answered_at) for each in endpoints]
        )

    def incomplete(self, ranges: Sequence[Range]) -> None:
        """Write the ranges that stay incomplete, where they changed since the last time."""
        reports = [store.IncompleteReport(each.span, each.attempts, each.reason) for each in ranges]
        if reports != self._incomplete:
            store.report_incomplete(reports)
            self._incomplete = reports

    def conflict(self, endpoints: Endpoints, stored: ChainBreak | None) -> None:
        """Write what keeps the index from going on: a contradiction of what is stored, or of all endpoints."""
        confirmed = [each.chain_break for each in endpoints.all if each.chain_break and each.break_seen > 1]
        lowest = min(confirmed, key=lambda each: each.height, default=None)
        if stored is not None:
            store.report_conflict(stored.reason, stored.height, stored=True)
        elif lowest is not None and endpoints.reach < lowest.height:
            # A block that links to neither side can be accepted as a gap; two chains cannot.
            store.report_conflict(lowest.reason, None if lowest.isolated else lowest.height)
        elif all(each.refused for each in endpoints.all):
            # An endpoint that is only away may serve the chain: it contradicts nothing.
            store.report_conflict(endpoints.all[0].trouble)
        else:
            store.report_conflict("")
