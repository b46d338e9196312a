#!/usr/bin/env python
"""The project's command line; with no DATABASE_URL it runs on an embedded PostgreSQL (see embedded_postgres)."""

import os
import select
import signal
import sys
from typing import TextIO

from indexer_project.embedded_postgres import ensure_database_url


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
    ensure_database_url(sys.argv)
    from django.core.management import execute_from_command_line  # after DATABASE_URL is known: settings read it

    try:
        execute_from_command_line(sys.argv)
    finally:
        sys.stdout.flush()  # here a reader that has gone is an error that can be handled, and at Python's end it is not


def reader_is_gone(stream: TextIO) -> bool:
    """Whether `stream` is a pipe that nothing reads any more, as of `manage.py status | head -1`."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        # A broken connection to something else raises the same error.
        gone = [stream for stream in (sys.stdout, sys.stderr) if reader_is_gone(stream)]
        if not gone:
            raise
        for stream in gone:  # Python flushes them once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        sys.exit(128 + signal.SIGPIPE)  # as a shell reports programs that this signal ends
