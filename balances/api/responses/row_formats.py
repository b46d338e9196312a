"""Rows as lines: CSV (RFC 4180) and NDJSON, and the last line of a list that ends before its end."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

INCOMPLETE = "incomplete"

# What spreadsheets take for a formula; a number is none, whatever its sign.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?[0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Csv:
    """Comma-separated, with a line of names first. A text that a spreadsheet would calculate gets a leading apostrophe.

    `columns`: the names, in order.
    """

    columns: Sequence[str]
    media_type: ClassVar[str] = "text/csv"

    def begin(self) -> bytes:
        return self._written([self.columns])

    def lines(self, rows: Iterable[Mapping[str, Any]]) -> bytes:
        return self._written([_cell(row.get(name)) for name in self.columns] for row in rows)

    def last_word(self, why: str, following: str) -> bytes:
        """A line that is none of the list: it has other fields."""
        return self._written([[f"#{INCOMPLETE}", why, following]])

    def _written(self, records: Iterable[Sequence[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(records)
        return text.getvalue().encode()


@dataclass(frozen=True, slots=True)
class Ndjson:
    """One JSON object a line."""

    media_type: ClassVar[str] = "application/x-ndjson"

    def begin(self) -> bytes:
        return b""

    def lines(self, rows: Iterable[Mapping[str, Any]]) -> bytes:
        return msgspec.json.Encoder().encode_lines(rows)

    def last_word(self, why: str, following: str) -> bytes:
        """A line that is none of the list: an object with other members."""
        return self.lines([{INCOMPLETE: why, "next": following}])


Lines = Csv | Ndjson


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case list():
            texts = all(isinstance(each, str) for each in value)
            return _cell("; ".join(value) if texts else msgspec.json.encode(value).decode())
    text = str(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
