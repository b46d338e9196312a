"""The hub: who listens to what is new, and what is new, brought to them.

It lives in the event loop and nothing else touches it. A listener that is live has been sent, or has waiting for it,
everything up to the hub's head at least. What follows is read once, whoever wants it, and costs what is in it and what
of it is wanted. A listener that takes its events too slowly is let go, and comes back when it has caught up.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

from balances.indexed_height import IndexedHeight
from balances.stream import sse
from balances.stream.event_ids import Position, end_of
from balances.stream.pages import Page, Transfer
from balances.stream.subscriber import Listener

Index = defaultdict[str, set[Listener]]


class Hub:
    """`head`: everything up to here was brought. `progress`: what was last seen of the index.

    `looked` is set, and made anew, each time that the index was looked at.
    """

    def __init__(self, indexed_height: IndexedHeight) -> None:
        self.indexed_height = indexed_height
        self.head = end_of(indexed_height.height)
        self.looked = asyncio.Event()
        self._generation = indexed_height.generation
        self._told = indexed_height
        self._live = set[Listener]()
        self._of_all = set[Listener]()
        self._by_address: Index = defaultdict(set)
        self._by_spelling: Index = defaultdict(set)

    @property
    def spellings(self) -> frozenset[str]:
        """The spellings of tokens that live listeners ask for."""
        return frozenset(self._by_spelling)

    def __len__(self) -> int:
        return len(self._live)

    def joins(self, listener: Listener) -> bool:
        """Make it live, when it lacks nothing up to the head and knows of all corrections; False when it does not."""
        if listener.position < self.head or listener.generation != self._generation:
            return False
        listener.live = True
        for group in self._groups(listener):
            group.add(listener)
        return True

    def leave(self, listener: Listener) -> None:
        if listener.live:
            for group in self._groups(listener):
                group.discard(listener)
            for index in (self._by_address, self._by_spelling):
                for key in (*listener.wanted.addresses, *listener.wanted.tokens):
                    if key in index and not index[key]:
                        del index[key]
        listener.let_go()

    def skip_to(self, indexed_height: IndexedHeight) -> None:
        """Be at the end of what is indexed, nobody being live to miss what lies between."""
        assert not self._live
        self.head, self._generation = end_of(indexed_height.height), indexed_height.generation
        self._see(indexed_height)

    def bring(self, page: Page, spellings: frozenset[str]) -> None:
        """Bring what follows the head. `spellings`: those that the page tells of."""
        reached = page.indexed_height
        # Heights that are read again take the index back below the head; what was corrected is in when it is back.
        if reached.generation != self._generation and reached.height >= self.head.height:
            self._tell_correction(reached)
        if page.transfers:
            # Who came while the page was read may ask for what it does not tell.
            for spelling in self._by_spelling.keys() - spellings:
                for listener in tuple(self._by_spelling[spelling]):
                    self.leave(listener)
            self._hand_out(page)
        self.head = page.end
        self._see(reached)

    def beat(self) -> None:
        """A sign of life to everybody: how far the index is, where that is news."""
        frame = sse.COMMENT
        if self.indexed_height != self._told:
            frame = sse.indexed_height(self.indexed_height, self.head, self._generation)
            self._told = self.indexed_height
        for listener in tuple(self._live):
            # Who came ahead of the head must not be given an earlier id.
            position = max(self.head, listener.position)
            listener.offer(position, self._generation, frame if position == self.head else sse.COMMENT)

    def _see(self, indexed_height: IndexedHeight) -> None:
        self.indexed_height = indexed_height
        self.looked.set()
        self.looked = asyncio.Event()

    def _groups(self, listener: Listener) -> Iterator[set[Listener]]:
        wanted = listener.wanted
        yield self._live
        for address in wanted.addresses:
            yield self._by_address[address]
        for spelling in wanted.tokens:
            yield self._by_spelling[spelling]
        if not wanted.addresses and not wanted.tokens:
            yield self._of_all

    def _tell_correction(self, reached: IndexedHeight) -> None:
        self._generation = reached.generation
        for listener in tuple(self._live):
            position = max(self.head, listener.position)
            self._offer(listener, position, sse.corrected(reached, position))

    def _hand_out(self, page: Page) -> None:
        # Written once, whoever gets it, and only when somebody does.
        @cache
        def frame(number: int, text_amounts: bool) -> bytes:
            return sse.transfer(page.transfers[number], self._generation, text_amounts=text_amounts)

        @cache
        def every_frame(text_amounts: bool) -> bytes:
            return b"".join(frame(number, text_amounts) for number in range(len(page.transfers)))

        parts = defaultdict[Listener, list[int]](list)
        for number, moved in enumerate(page.transfers):
            for listener in self._concerned(moved):
                parts[listener].append(number)
        for listener in tuple(self._of_all):
            if listener.position < page.transfers[0].position:
                self._offer(listener, page.end, every_frame(listener.text_amounts))
            else:
                parts[listener] = list(range(len(page.transfers)))
        for listener, numbers in parts.items():
            # Who came ahead of the head has some of them.
            new = [number for number in numbers if page.transfers[number].position > listener.position]
            if new:
                self._offer(listener, page.end, b"".join(frame(number, listener.text_amounts) for number in new))

    def _concerned(self, moved: Transfer) -> set[Listener]:
        """Who wants it of those that do not want everything."""
        sides = (moved.body["fromAddress"], moved.body["toAddress"])
        found = {
            listener
            for address in sides
            for listener in self._by_address.get(address, ())
            if not listener.wanted.tokens or listener.wanted.tokens & moved.spellings
        }
        return found | {
            listener
            for spelling in moved.spellings
            for listener in self._by_spelling.get(spelling, ())
            if not listener.wanted.addresses
        }

    def _offer(self, listener: Listener, position: Position, frame: bytes) -> None:
        if not listener.offer(position, self._generation, frame):
            self.leave(listener)
