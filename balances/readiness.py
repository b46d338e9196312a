"""Is the index fit to answer from? Decided by what is stored, so that every process that is asked says the same."""

from datetime import datetime

from django.db.models.functions import Now

from balances.indexed_height import IndexedHeight
from balances.source_status import Source, read_source
from blocks.models import Chain
from events.outbox import backlog

WAY_OUT = 'See "The chain was reset" in docs/operations.md.'

_LONGEST_TEXT = 200


def with_way_out(conflict: str) -> str:
    """The text of a conflict, with the way out, for every place that gives it as the reason."""
    return f"{conflict.strip().rstrip('.')}. {WAY_OUT}"


def why_not_ready(indexed_height: IndexedHeight, max_lag: int, stall_seconds: int) -> str | None:
    """Why answers from here should not be used, in words; None when the index is ready.

    Ready: no two blocks contradict each other; a level endpoint said within `stall_seconds` how far the chain is;
    indexed to within `max_lag` heights of the tip; and what is not in yet has not been known for longer than
    `stall_seconds`. `progress` is that of the caller's snapshot.
    """
    chain = Chain.objects.annotate(now=Now()).filter(id=1).first()
    if chain is None:
        return "Nothing is stored yet."
    if indexed_height.conflict:
        return with_way_out(indexed_height.conflict)
    source = read_source(chain, chain.now)
    seconds = source.seconds_since_level()
    if seconds is None or seconds > stall_seconds:
        since = "" if seconds is None else f" for {seconds:.0f} s"
        return (
            f"No endpoint said{since} how far the chain is{_troubles(source)}. "
            f"Allowed are {stall_seconds} s (READY_STALL_SECONDS)."
        )
    lag = indexed_height.tip - indexed_height.height
    if lag > max_lag:
        behind = f"Indexed up to height {indexed_height.height} of {indexed_height.tip}, {lag} behind"
        return f"{behind}. Allowed are {max_lag} (READY_MAX_LAG)."
    message = backlog.waiting_since()
    if message is not None and _seconds(message[1], chain.now) > stall_seconds:
        return _stalled(message[0], "waits to be applied", _seconds(message[1], chain.now), stall_seconds)
    # The synchronizer writes it down every few seconds, so the height may have come in meanwhile.
    if chain.waiting_height is not None and indexed_height.contiguous < chain.waiting_height:
        seconds = _seconds(chain.waiting_since, chain.now)
        if seconds > stall_seconds:
            return _stalled(chain.waiting_height, "is missing", seconds, stall_seconds)
    return None


def _troubles(source: Source) -> str:
    """What each endpoint lacks, in words."""
    told = []
    for each in source.endpoints:
        behind = "is not heard of" if each.level else f"is behind, at height {each.tip}"
        told.append(f"{each.url} {each.trouble[:_LONGEST_TEXT] or behind}")
    return f" ({'; '.join(told)})" if told else ""


def _stalled(height: int, what: str, seconds: float, allowed: int) -> str:
    return f"Height {height} {what}, for {seconds:.0f} s now. Allowed are {allowed} s (READY_STALL_SECONDS)."


def _seconds(since: datetime | None, now: datetime) -> float:
    return float("inf") if since is None else (now - since).total_seconds()
