"""What the project's commands share: they look at their own part of the settings, and fail in one clear line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError

from indexer_project.checks import require


class IndexerCommand(BaseCommand):
    """A command that needs the `parts` of the configuration, and nothing else of it."""

    parts: tuple[str, ...] = ("database",)
    # `require` looks at what this process needs; all checks would ask for what others need, too.
    requires_system_checks = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run `handle`. Raises `CommandError` for bad settings, a database that is away, or one without tables."""
        require(*self.parts)
        try:
            return super().execute(*args, **options)
        except ProgrammingError as error:
            if getattr(error.__cause__, "sqlstate", None) != "42P01":  # undefined table
                raise
            raise CommandError(f"The database lacks a table: run manage.py migrate. ({_line(error)})") from None
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database does not answer, see DATABASE_URL: {_line(error)}") from None


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
