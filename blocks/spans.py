"""What to ask for next: pure functions from what is missing and what is known to requests within budgets."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

NO_END = 2**62
"""Above every height that a chain can have."""


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Heights `first` to `last`, both inclusive."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def holds(self, height: int) -> bool:
        """Whether `height` is one of these."""
        return self.first <= height <= self.last

    def halves(self) -> "tuple[Span, Span]":
        """Two spans that make up this one. Raises ValueError for a single height."""
        if self.first == self.last:
            raise ValueError(f"height {self.first} cannot be halved")
        middle = (self.first + self.last) // 2
        return Span(self.first, middle), Span(middle + 1, self.last)


@dataclass(frozen=True, slots=True, order=True)
class Page:
    """Transactions `first_index` to `last_index`, both inclusive, of the block at `height`."""

    height: int
    first_index: int
    last_index: int

    def __len__(self) -> int:
        return self.last_index - self.first_index + 1


def missing_spans(first: int, last: int, covered: Sequence[tuple[int, int]]) -> list[Span]:
    """The parts of `first`…`last` that are in none of `covered`: ascending, disjoint (first, last) pairs."""
    spans = []
    for start, end in covered:
        if start > first:
            spans.append(Span(first, min(start - 1, last)))
        first = max(first, end + 1)
        if first > last:
            break
    else:
        if first <= last:
            spans.append(Span(first, last))
    return [span for span in spans if span.first <= span.last]


def union(*parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """All (first, last) ranges in one ascending list, joined where they touch or overlap."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(span for part in parts for span in part):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], last)
        else:
            joined.append((first, last))
    return joined


def spans_of(heights: Sequence[int]) -> list[Span]:
    """Single heights as spans."""
    return [Span(first, last) for first, last in union([(height, height) for height in heights])]


def windows(missing: Iterable[Span], most: int) -> Iterator[Span]:
    """`missing` cut into windows of at most `most` heights, in order."""
    for span in missing:
        for first in range(span.first, span.last + 1, most):
            yield Span(first, min(first + most - 1, span.last))


def transaction_requests(counts: Sequence[tuple[int, int]], most: int) -> Iterator[Span | Page]:
    """Requests for every transaction of blocks with `counts`, none expecting more than `most` rows.

    `counts`: (height, num_txs), ascending. Neighbouring blocks share a request while they fit; a block with more than
    `most` is paged by index; blocks without transactions are asked for only where they lie between others.
    """
    first = last = -1
    rows = 0
    for height, count in counts:
        if not count:
            continue
        if rows and rows + count > most:
            yield Span(first, last)
            rows = 0
        if count > most:
            yield from (Page(height, start, min(start + most, count) - 1) for start in range(0, count, most))
            continue
        if not rows:
            first = height
        last = height
        rows += count
    if rows:
        yield Span(first, last)
