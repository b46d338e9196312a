"""What the project's commands share: they look at their own part of the settings, and fail in one clear line."""

import logging
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from indexer_project.checks import require
from indexer_project.database_checks import READ, check_database
from postgres.connections import renew
from postgres.errors import Reaction, first_line, reaction, sqlstate
from postgres.outage_log import OutageLog
from postgres.pooling import TransactionPooling

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


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
        """Run `handle`. Raises `CommandError` for bad settings, or a database that is away, refuses or is refused."""
        require(*self.parts)
        try:
            self._check_database()
            return super().execute(*args, **options)
        except TransactionPooling as error:
            name = type(self).__module__.rsplit(".", 1)[-1]
            raise CommandError(f"{error}; give {name} the server itself, or a pooler in session mode.") from None
        except Error as error:
            found = reaction(error)
            if found is Reaction.MIGRATE:
                what = f"The database lacks a table: run manage.py migrate. ({first_line(error)})"
            elif found in (Reaction.GIVE_UP, Reaction.DIVIDE):
                raise  # a fault of the program, whose place the traceback tells
            elif sqlstate(error) == "42501":
                what = f"The role of DATABASE_URL may not do that: GRANT it, or use another role. ({first_line(error)})"
            elif sqlstate(error):
                what = f"The database refuses, and nothing of this step is done; try again later: {first_line(error)}"
            else:
                what = f"The database does not answer, see DATABASE_URL: {first_line(error)}"
            raise CommandError(what) from None

    def _check_database(self) -> None:
        outage = OutageLog(logger, "Start waits for the database", "Start goes on")
        while True:
            try:
                check_database(self.privileges, session=self.session)
                outage.over()
                return
            except Error as error:
                if not self.waits:
                    raise
                outage.met(error)
                renew()
                time.sleep(RETRY_SECONDS)
