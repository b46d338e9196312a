"""Which stored heights are of the chain that the endpoints serve, and from where on they are not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from blocks import store
from blocks.models import Chain
from blocks.source.client import EndpointUnavailable, TooMuch, TxIndexer, Unreadable
from blocks.spans import NO_END, Span
from blocks.store import Ranges
from blocks.sync.window_checks import stored_block


class ForkUnknown(Exception):
    """Which chain is right cannot be told now; the message says why, and the way out."""


@dataclass(frozen=True)
class Fork:
    """The lowest stored height that is not of the chain, and the reason."""

    height: int
    reason: str


def find_fork(endpoints: Sequence[TxIndexer]) -> Fork | None:
    """The lowest stored height from which on what is stored is not what most endpoints serve; None when all is.

    What is stored and contradicts itself counts too. Asks each endpoint for as many blocks as a binary search takes.
    Raises `ForkUnknown`.
    """
    chain = Chain.objects.filter(id=1).first()
    if chain is None or not chain.coverage:
        raise ForkUnknown("Nothing is stored yet.")
    # Genesis has no hash, so it tells nothing.
    heights = [(max(first, 1), last) for first, last in chain.coverage if last >= 1]
    forks = [answer.fork for endpoint in endpoints if (answer := _compare(endpoint, heights)) is not None]
    if not forks:
        raise ForkUnknown("No endpoint answers with a block that is stored: see TX_INDEXER_URLS.")
    (fork, most), *others = Counter(forks).most_common()
    if others and others[0][1] == most:
        raise ForkUnknown(
            f"As many endpoints serve one chain as another ({_in_words(fork)}; {_in_words(others[0][0])}): leave those "
            "of the right chain in TX_INDEXER_URLS, and run this again."
        )
    if fork is not None and fork.height <= 1:
        raise ForkUnknown(
            f"The endpoints serve another chain from block 1 on ({fork.reason}): use a new database for it; see "
            'docs/operations.md, "The chain was reset".'
        )
    found = [each for each in (fork, _stored_conflict(chain)) if each is not None]
    return min(found, key=lambda each: each.height, default=None)


def _in_words(fork: Fork | None) -> str:
    return "all that is stored" if fork is None else fork.reason


def _stored_conflict(chain: Chain) -> Fork | None:
    if chain.conflict_stored and chain.conflict_height is not None:
        return Fork(chain.conflict_height, chain.conflict)
    conflicts = store.side_conflicts(NO_END)
    return Fork(conflicts[0].height, conflicts[0].reason) if conflicts else None


@dataclass(frozen=True)
class _Comparison:
    """Where an endpoint leaves the stored chain; None where it does not."""

    fork: Fork | None


def _compare(endpoint: TxIndexer, heights: Ranges) -> _Comparison | None:
    """Compare an endpoint's blocks with those stored at `heights`; None when it has none of them, or does not answer.

    Blocks are linked: where one agrees, all below do, and where one differs, all above do.
    """
    try:
        reached = endpoint.tip()
        stored = [(first, min(last, reached)) for first, last in heights if first <= reached]
        agrees, differs, fork = -1, sum(last - first + 1 for first, last in stored), None
        if not differs:
            return None
        compared = False
        while agrees + 1 < differs:
            middle = (agrees + differs) // 2
            height = _height_at(stored, middle)
            block, own = endpoint.blocks(Span(height, height)).rows[:1], store.stored_blocks([height]).get(height)
            compared = compared or bool(block and own)
            if block and own and stored_block(block[0]) != own:
                reason = f"block {height} is stored as {own.hash!r}, and the endpoint has {block[0].hash!r}"
                differs, fork = middle, Fork(height, reason)
            else:
                agrees = middle
    except (EndpointUnavailable, TooMuch, Unreadable):
        return None
    # One that has nothing of what is stored has no say.
    return _Comparison(fork) if compared else None


def _height_at(ranges: Ranges, position: int) -> int:
    for first, last in ranges:
        if position <= last - first:
            return first + position
        position -= last - first + 1
    raise IndexError(position)
