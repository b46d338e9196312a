"""Log lines: one event, one line, whatever a message or an error text has in it."""

import logging


class OneLine(logging.Formatter):
    """Folds line breaks of a message into spaces; a traceback, which is for people, keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return " ".join(super().formatMessage(record).split())
