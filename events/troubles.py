"""One line in the log when something begins to be away and one when it is back, however often it is tried meanwhile."""

import logging
from dataclasses import dataclass, field


@dataclass
class Troubles:
    """Of one thing that goes on trying: where it says so, and in which words that it waits and that it goes on."""

    logger: logging.Logger
    waits: str
    goes_on: str
    _met: bool = field(default=False, init=False)

    def met(self, trouble: Exception) -> None:
        """A try has failed."""
        if not self._met:
            self.logger.error("%s error=%s", self.waits, str(trouble).strip())
        self._met = True

    def over(self) -> None:
        """A try has not failed."""
        if self._met:
            self.logger.info(self.goes_on)
        self._met = False
