"""SIGTERM and SIGINT as an event: what is in hand is finished, nothing new is begun."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


def stop_on_signals(also: Callable[[], object] = lambda: None) -> threading.Event:
    """An event that the first SIGTERM or SIGINT sets (then calls `also`); a second signal ends the process at once."""
    stop = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        also()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, handle)
    return stop
