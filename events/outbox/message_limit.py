"""The largest message that may be written: the configured size, or what the queue takes where that is less."""

import re
from dataclasses import dataclass

LEAST_BYTES = 1_024
"""No queue of SQS takes less: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""

_TOO_LARGE = re.compile(r"shorter than|longer than|too l(?:ong|arge)|exceed|maximum", re.IGNORECASE)
_TOO_LARGE_CODES = ("413", "BatchRequestTooLong", "MessageTooLong", "RequestEntityTooLarge")
_BYTES = re.compile(r"(?:shorter|longer) than ([0-9]{1,9})")


def is_too_large(code: str, reason: str) -> bool:
    """Whether a server that refuses with `code` and `reason` does so because of the size."""
    return code in _TOO_LARGE_CODES or bool(_TOO_LARGE.search(reason))


@dataclass
class MessageLimit:
    """Shared by the relay, which learns what the queue takes, and the recorder, which packs to it without asking.

    All in bytes. `configured`: SQS_MAX_MESSAGE_BYTES. `queue`: the queue's MaximumMessageSize, as far as it is known.
    `learned`: less than either, where a server refused what should have fitted.
    """

    configured: int
    queue: int | None = None
    learned: int | None = None

    @property
    def bytes(self) -> int:
        """The smallest of all."""
        return min(each for each in (self.configured, self.queue, self.learned) if each is not None)

    def read(self, queue: int | None) -> bool:
        """Take in what the queue's attribute says; True when that changed. What was learned holds until then."""
        changed = queue != self.queue
        if changed:
            self.queue, self.learned = queue, None
        return changed

    def learn(self, code: str, reason: str, size: int) -> None:
        """Take in that a message of `size` bytes was refused, if that was for its size.

        A server that does not say how much it takes is tried with half.
        """
        if size > self.bytes or not is_too_large(code, reason):
            return
        stated = [int(number) for number in _BYTES.findall(reason) if LEAST_BYTES <= int(number) < size]
        self.learned = max(LEAST_BYTES, min(stated, default=size // 2))

    def __str__(self) -> str:
        known = "unknown" if self.queue is None else str(self.queue)
        learned = "" if self.learned is None else f" accepted_so_far={self.learned}"
        return f"SQS_MAX_MESSAGE_BYTES={self.configured} queue_limit={known}{learned}"
