"""The OpenAPI schema without its prose: routes, parameters and shapes, as before."""

import json
import os
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from tests.balances.api.golden_answers import GOLDEN


def contract(schema: Any) -> Any:
    """An OpenAPI schema without its prose and its examples."""
    if isinstance(schema, dict):
        return {
            name: contract(value)
            for name, value in sorted(schema.items())
            if name not in ("example", "examples", "info") and not (name == "description" and isinstance(value, str))
        }
    return [contract(each) for each in schema] if isinstance(schema, list | tuple) else schema


def test_the_schema_keeps_its_contract() -> None:
    path = GOLDEN / "schema.json"
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    given = json.loads(json.dumps(contract(schema), default=str))
    if os.environ.get("WRITE_GOLDEN"):
        path.write_text(json.dumps(given, indent=1, ensure_ascii=False) + "\n")
    assert given == json.loads(path.read_text())
