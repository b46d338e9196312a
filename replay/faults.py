"""What may go wrong at a source, to be switched on and off while it runs. Everything is off by default."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field

from replay.recording import Recording


@dataclass
class Faults:
    """Faults of a source. Change any field at any time; it counts from the next request, block or connection on.

    Chances are from 0 (never) to 1 (always) and are drawn, in the order of the fields below, from one
    ``random.Random(seed)`` made at construction: the same requests in the same order meet the same faults.
    Times are in seconds. The four of HTTP touch ``/graphql/query`` only, and never the websocket.
    """

    seed: int = 0

    late: float = 0.0
    """Chance that an answer comes ``late_seconds`` late."""
    late_seconds: float = 1.0
    too_many_requests: float = 0.0
    """Chance of status 429 with ``Retry-After: retry_after``."""
    retry_after: int = 1
    server_error: float = 0.0
    """Chance of status 500 with a page of HTML."""
    cut_body: float = 0.0
    """Chance that the connection closes half-way through the body that Content-Length promised."""

    announce_early: float = 0.0
    """Seconds from a block's announcement until its transactions can be queried; latestBlockHeight has it at once."""
    announce_before_block: float = 0.0
    """Seconds from a block's announcement until latestBlockHeight and getBlocks have it (its transactions come
    ``announce_early`` later still). Both are fixed for a block when it appears; lowering them lets it through."""

    missing_transactions: dict[int, int] = field(default_factory=dict)
    """Height -> how many queries over that height still lack its last transaction; -1 = all. The numbers count down."""
    missing_blocks: Collection[int] = frozenset()
    """Heights that have neither block nor transactions, as if lost while indexing. The tip does not change."""

    other_chain: Recording | bool = False
    """Another chain under the same address: a recording (served whole), or True for one made from the recording, with
    other hashes and chain id ``other-chain``, at the same height."""

    refuse_websocket: bool = False
    """Websocket upgrades are answered 403."""
    silent_websocket: bool = False
    """Websockets are accepted and acknowledged, and then nothing is ever said."""

    introspection_disabled: bool = False
    """``__schema`` and ``__type`` are answered 200 with the error ``introspection disabled``."""
    fields_removed: Collection[str] = frozenset()
    """What a server of another age does not know: ``Type.field``, ``InputType.field`` or ``Union.Member``."""

    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the settings and start the drawing. Raises ValueError for a chance outside 0 to 1."""
        for name in ("late", "too_many_requests", "server_error", "cut_body"):
            chance = getattr(self, name)
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} is a chance: wanted 0 to 1, found {chance!r}")
        self._random = random.Random(self.seed)

    def happens(self, chance: float) -> bool:
        """Draw once. A chance of 0 draws nothing, so faults that are off do not shift the others."""
        return chance > 0 and self._random.random() < chance

    def lacks_a_transaction(self, height: int) -> bool:
        """Whether this query over ``height`` gets one transaction too few; counts the query."""
        left = self.missing_transactions.get(height, 0)
        if left > 0:
            self.missing_transactions[height] = left - 1
        return left != 0
