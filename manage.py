#!/usr/bin/env python
"""The project's command line; with no DATABASE_URL it runs on an embedded PostgreSQL (see embedded_postgres)."""

import os
import sys

from indexer_project.embedded_postgres import ensure_database_url


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
    ensure_database_url(sys.argv)
    from django.core.management import execute_from_command_line  # after DATABASE_URL is known: settings read it

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
