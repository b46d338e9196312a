"""What the project's commands share: they look at their own part of the settings, and fail in one clear line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from indexer_project.checks import require
from postgres.errors import Reaction, first_line, reaction, sqlstate


class IndexerCommand(BaseCommand):
    """A command that needs the `parts` of the configuration, and nothing else of it."""

    parts: tuple[str, ...] = ("database",)
    # `require` looks at what this process needs; all checks would ask for what others need, too.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run `handle`. Raises `CommandError` for bad settings, or a database that is away, refuses or lacks tables."""
        require(*self.parts)
        try:
            return super().execute(*args, **options)
        except Error as error:
            found = reaction(error)
            if found is Reaction.MIGRATE:
                what = f"The database lacks a table: run manage.py migrate. ({first_line(error)})"
            elif found in (Reaction.GIVE_UP, Reaction.DIVIDE):
                raise  # a fault of the program, whose place the traceback tells
            elif sqlstate(error):
                what = f"The database refuses, and nothing of this step is done; try again later: {first_line(error)}"
            else:
                what = f"The database does not answer, see DATABASE_URL: {first_line(error)}"
            raise CommandError(what) from None
