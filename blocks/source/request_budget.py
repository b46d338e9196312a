"""How many requests one endpoint gets at once: fewer after a refusal for too many, one more after a while without."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 8.0
PATIENCE = 20.0
"""Seconds that one request waits through refusals; what was read beside it is kept meanwhile."""

CALM = 8
"""Answers for each allowed request after which one more is allowed."""


class KeptBack(Exception):
    """The endpoint has said to be left alone for longer than a request waits; `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"not to be asked for {seconds:.0f} s")
        self.seconds = seconds


class RequestBudget:
    """The budget that all threads asking one endpoint share; times in seconds.

    A refusal halves what is allowed at once and keeps everything back for as long as the server says, or for a pause
    that doubles with each refusal that follows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._running = 0
        self._refusals = 0
        self._not_before = 0.0
        self._changed = threading.Condition()

    @property
    def allowed(self) -> int:
        """Requests that may run at once now."""
        return max(1, int(self._allowed))

    @contextmanager
    def request(self, until: float = float("inf")) -> Iterator[None]:
        """Wait for a turn, and hold it for the block.

        Raises `KeptBack` where the endpoint is not asked before `until` (`time.monotonic`): a thread that waited longer
        would be missing for other endpoints.
        """
        with self._changed:
            while self._running >= self.allowed or time.monotonic() < self._not_before:
                pause = self._not_before - time.monotonic()
                if pause > 0 and self._not_before > until:
                    raise KeptBack(pause)
                self._changed.wait(pause if pause > 0 else None)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def answered(self) -> None:
        """The endpoint answered: after a calm while it is asked more at once."""
        with self._changed:
            self._refusals = 0
            if self._allowed < self._most:
                self._allowed = min(float(self._most), self._allowed + 1 / (CALM * self.allowed))
                self._changed.notify_all()

    def refused(self, retry_after: float | None) -> float:
        """The endpoint refused for too many requests; returns the seconds until it is asked again."""
        with self._changed:
            now = time.monotonic()
            # Requests that ran together are refused together: that is one refusal.
            if now >= self._not_before:
                self._allowed = max(1.0, self._allowed / 2)
                self._refusals += 1
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._refusals - 1, 10))
            self._not_before = max(self._not_before, now + (pause if retry_after is None else retry_after))
            return self._not_before - now
