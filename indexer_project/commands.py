"""What the project's commands share: they look at their own part of the settings, and fail in one clear line."""

import logging
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError, connection

from events.troubles import Troubles
from indexer_project.checks import require
from indexer_project.database_checks import READ, check_database
from postgres.pooling import TransactionPooling

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
_NOT_AWAY = {
    "42P01": "The database lacks a table: run manage.py migrate.",
    "42501": "The role of DATABASE_URL may not do that: GRANT it, or use another role.",
}


class IndexerCommand(BaseCommand):
    """A command that needs the `parts` of the configuration, and nothing else of it.

    `privileges` and `session`: as `check_database` has them. `waits`: for a database that is away when it starts.
    """

    parts: tuple[str, ...] = ("database",)
    privileges: tuple[str, ...] = READ
    session = False
    waits = False
    # `require` looks at what this process needs; all checks would ask for what others need, too.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run `handle`. Raises `CommandError` for bad settings, and for a database that is away or refused."""
        require(*self.parts)
        try:
            self._check_database()
            return super().execute(*args, **options)
        except TransactionPooling as error:
            name = type(self).__module__.rsplit(".", 1)[-1]
            raise CommandError(f"{error}; give {name} the server itself, or a pooler in session mode.") from None
        except ProgrammingError as error:
            reason = _NOT_AWAY.get(getattr(error.__cause__, "sqlstate", None) or "")
            if reason is None:
                raise
            raise CommandError(f"{reason} ({_line(error)})") from None
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database does not answer, see DATABASE_URL: {_line(error)}") from None

    def _check_database(self) -> None:
        troubles = Troubles(logger, "Start waits for the database", "Start goes on")
        while True:
            try:
                check_database(self.privileges, session=self.session)
                troubles.over()
                return
            except (OperationalError, InterfaceError) as error:
                connection.close()
                if not self.waits:
                    raise
                troubles.met(error)
                time.sleep(RETRY_SECONDS)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
