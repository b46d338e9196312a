"""One listener: what it wants, how far it was sent, and what waits to be sent."""

import asyncio
from collections import deque

from balances.stream.event_ids import Position
from balances.stream.subscription import Filters

BUFFER_BYTES = 128 * 1024
"""What waits for one listener at most, beside what its connection holds (server.py)."""


class Listener:
    """`position`: all up to here was sent, and corrections up to `generation` were told.

    `live`: the hub brings it what is new (hub.py).
    """

    __slots__ = ("_bytes", "_waiting", "generation", "live", "position", "text_amounts", "wanted", "woken")

    def __init__(self, wanted: Filters, position: Position, generation: int, *, text_amounts: bool = False) -> None:
        self.wanted = wanted
        self.position = position
        self.generation = generation
        self.text_amounts = text_amounts
        self.live = False
        self.woken = asyncio.Event()
        self._waiting = deque[tuple[Position, int, bytes]]()
        self._bytes = 0

    def offer(self, position: Position, generation: int, frame: bytes) -> bool:
        """Have `frame` sent, after which the listener is at `position`, of `generation`; False when too much waits."""
        if self._bytes + len(frame) > BUFFER_BYTES:
            return False
        self._waiting.append((position, generation, frame))
        self._bytes += len(frame)
        self.woken.set()
        return True

    def take(self) -> bytes:
        """All that waits, which from here on counts as sent."""
        taken = b"".join(frame for _, _, frame in self._waiting)
        if self._waiting:
            position, self.generation, _ = self._waiting[-1]
            self.position = max(self.position, position)
        self._clear()
        self.woken.clear()
        return taken

    def let_go(self) -> None:
        """The hub brings nothing more. What waits is dropped: the listener is still where it was before."""
        self.live = False
        self._clear()
        self.woken.set()

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0
