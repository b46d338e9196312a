"""SIGTERM and SIGINT as an event: what is in hand is finished, nothing new is begun, and the end comes in time.

A signal handler of Python runs in the main thread between any two of its instructions, also while that thread holds the
very lock that `Event.set` needs. So the handlers here do nothing. The interpreter's own handler, in C, writes the
signal's number to a pipe, whatever the main thread is in the middle of; a thread reads it, and does the rest.
"""

import faulthandler
import logging
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

logger = logging.getLogger(__name__)

GRACE_SECONDS = 10.0
"""From the first signal to the end of the process at the latest, whatever hangs. Docker kills after as long."""

_FORCE_AFTER_SECONDS = GRACE_SECONDS - 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals(also: Callable[[], object] = lambda: None) -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets (then `also` is called, in a thread of its own).

    A second signal ends the process at once. So does the end of the grace period, with exit status 1 and a line that
    names what still runs: nothing is lost by it, since nothing counts before it is committed. For the main thread.
    """
    stop = threading.Event()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = {each: signal.signal(each, _nothing) for each in _SIGNALS}
    wakeup_before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=[reading, stop, also], name="stopping", daemon=True).start()
    try:
        yield stop
    finally:
        # Once told to stop, the process is watched to its very end.
        if not stop.is_set():
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(writing)


def _nothing(number: int, frame: FrameType | None) -> None:
    """A handler, for without one the interpreter would not write to the pipe."""


def _watch(reading: int, stop: threading.Event, also: Callable[[], object]) -> None:
    if not os.read(reading, 1):
        os.close(reading)
        return  # not needed any more
    with suppress(ValueError, AttributeError, OSError):  # no standard error to write to
        # Of last resort, in C: it needs nothing of an interpreter that hangs, or has begun to end.
        faulthandler.dump_traceback_later(_FORCE_AFTER_SECONDS + 0.9, exit=True)
    stop.set()
    also()
    deadline = time.monotonic() + _FORCE_AFTER_SECONDS
    if select.select([reading], [], [], _FORCE_AFTER_SECONDS)[0] and (second := os.read(reading, 1)):
        os._exit(128 + second[0])
    time.sleep(max(0.0, deadline - time.monotonic()))
    # In a thread of its own: whoever reads the log may hang too.
    told = threading.Thread(target=_tell_what_runs, name="telling", daemon=True)
    told.start()
    told.join(0.5)
    os._exit(1)


def _tell_what_runs() -> None:
    frames = sys._current_frames()
    running = []
    for thread in threading.enumerate():
        if thread.name in ("stopping", "telling") or thread.ident not in frames:
            continue
        at = traceback.extract_stack(frames[thread.ident])[-1]
        running.append(f"{thread.name} in {at.name} ({'/'.join(at.filename.split('/')[-2:])}:{at.lineno})")
    logger.error(
        "Ended by force: not finished within the grace period seconds=%.0f running=%s",
        GRACE_SECONDS,
        "; ".join(running),
    )
