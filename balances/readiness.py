"""Is the index fit to answer from? Decided by what is stored, so that every process that is asked says the same."""

from datetime import datetime

from django.db.models import Max
from django.db.models.functions import Now

from balances.progress import Progress
from blocks.models import Chain, EndpointState
from events import pending


def why_not_ready(progress: Progress, max_lag: int, stall_seconds: int) -> str | None:
    """Why answers from here should not be used, in words; None when the index is ready.

    Ready: indexed to within `max_lag` heights of the tip; an endpoint in use said within `stall_seconds` how far the
    chain is; and what is not in yet has not been known for longer than that. `progress` is that of the caller's
    snapshot.
    """
    chain = Chain.objects.values_list("waiting_height", "waiting_since", Now()).first()
    if chain is None:
        return "Nothing is stored yet."
    waiting_height, waiting_since, now = chain
    seen_at = EndpointState.objects.filter(trouble="", tip__gte=0).aggregate(at=Max("seen_at"))["at"]
    if _seconds(seen_at, now) > stall_seconds:
        since = "" if seen_at is None else f" for {_seconds(seen_at, now):.0f} s"
        return f"No endpoint said{since} how far the chain is. Allowed are {stall_seconds} s (READY_STALL_SECONDS)."
    lag = progress.tip - progress.indexed
    if lag > max_lag:
        behind = f"Indexed up to height {progress.indexed} of {progress.tip}, {lag} behind"
        return f"{behind}. Allowed are {max_lag} (READY_MAX_LAG)."
    message = pending.waiting_since()
    if message is not None and _seconds(message[1], now) > stall_seconds:
        return _stalled(message[0], "waits to be applied", _seconds(message[1], now), stall_seconds)
    # The synchronizer writes it down every few seconds, so the height may have come in meanwhile.
    if waiting_height is not None and progress.contiguous < waiting_height:
        seconds = _seconds(waiting_since, now)
        if seconds > stall_seconds:
            return _stalled(waiting_height, "is missing", seconds, stall_seconds)
    return None


def _stalled(height: int, what: str, seconds: float, allowed: int) -> str:
    return f"Height {height} {what}, for {seconds:.0f} s now. Allowed are {allowed} s (READY_STALL_SECONDS)."


def _seconds(since: datetime | None, now: datetime) -> float:
    return float("inf") if since is None else (now - since).total_seconds()
