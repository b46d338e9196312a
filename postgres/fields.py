"""Column types that PostgreSQL has and Django does not."""

import json
from typing import Any

from django.db import models
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range


class HeightRangesField(models.Field[Any, Any]):
    """`int8multirange`: a set of heights as ranges; in Python a list of (first, last), both inclusive, ascending."""

    description = "Ranges of heights"

    def db_type(self, connection: Any) -> str:
        return "int8multirange"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> list[tuple[int, int]] | None:
        return None if value is None else [(part.lower, part.upper - 1) for part in value]

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else height_ranges(value)


class RawJSONField(models.Field[Any, Any]):
    """`json` (not `jsonb`): JSON kept to the letter.

    A chain's strings hold NUL characters and lone surrogates; `jsonb` and `text` refuse both, `json` keeps them as the
    escapes they came as. Nothing is searched inside, so nothing is lost by it.
    """

    description = "JSON, kept to the letter"

    def db_type(self, connection: Any) -> str:
        return "json"

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else json.dumps(value, ensure_ascii=True, separators=(",", ":"))

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s::json"


def height_ranges(parts: list[tuple[int, int]]) -> Multirange[int]:
    """The database's form of inclusive (first, last) ranges; ranges that touch are joined by PostgreSQL."""
    return Multirange([Range(first, last + 1, "[)") for first, last in parts])
