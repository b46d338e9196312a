"""One line in the log when something begins to be away and one when it is back, however often it is tried meanwhile."""

import logging
from dataclasses import dataclass, field


@dataclass
class Troubles:
    """Of one thing that goes on trying; `name` is who says so, and `logger` where."""

    logger: logging.Logger
    name: str
    _waits: bool = field(default=False, init=False)

    def met(self, trouble: Exception) -> None:
        """A try has failed."""
        if not self._waits:
            self.logger.error("%s waits error=%s", self.name, str(trouble).strip())
        self._waits = True

    def over(self) -> None:
        """A try has not failed."""
        if self._waits:
            self.logger.info("%s goes on", self.name)
        self._waits = False
