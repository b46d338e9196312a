"""`manage.py migrate`: Django's own, for a database that can hold the index."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError

from indexer_project.checks import require
from indexer_project.database_checks import check_migratable


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        require("database")
        try:
            if options["database"] == DEFAULT_DB_ALIAS:
                check_migratable()
        except (OperationalError, InterfaceError) as error:
            reason = str(error).strip().splitlines()[0]
            raise CommandError(f"The database does not answer, see DATABASE_URL: {reason}") from None
        super().handle(*args, **options)
