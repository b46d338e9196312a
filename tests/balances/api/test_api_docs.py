"""Generated part of docs/api.md: parameters and one real answer of each route, for the recorded chain gnotest-1.

`WRITE_DOCS=1 pytest tests/balances/api/test_api_docs.py` writes it; without the variable the test compares.
"""

import json
import os
import re
import textwrap
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.generators import SchemaGenerator

from replay.recording import Recording
from tests.conftest import ROOT

pytestmark = [pytest.mark.db, pytest.mark.django_db, pytest.mark.api]

PAGE = ROOT / "docs" / "api.md"
BEGIN, END = "<!-- routes -->\n", "<!-- end of routes -->"
ACCOUNT = "g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf"
TOKEN = "gno.land/r/gnoland/wugnot"
PAIR = f"/accounts/{ACCOUNT}/tokens/{TOKEN}"
HASH = "bs6IgCvzDBPt6EC0gNM40-XfLX2gf1keAXQayrkTTyU"
EXAMPLES = {
    "/tokens": ["/tokens?limit=1", "/tokens?search=wugnot&format=csv"],
    "/tokens/balances": [
        "/tokens/balances?limit=1",
        f"/tokens/balances?address={ACCOUNT}&limit=1",
        "/tokens/balances?address=g1nonsense",
    ],
    "/tokens/transfer-history": [
        f"/tokens/transfer-history?address={ACCOUNT}&limit=1",
        "/tokens/transfer-history?minHeight=100000&limit=1",
    ],
    "/tokens/{tokenPath}": [f"/tokens/{TOKEN}", f"/tokens/{TOKEN}?height=100&amounts=string"],
    "/tokens/{tokenPath}/balances": [f"/tokens/{TOKEN}/balances?limit=1"],
    "/tokens/{tokenPath}/holders": [f"/tokens/{TOKEN}/holders?limit=2"],
    "/tokens/{tokenPath}/transfers": [f"/tokens/{TOKEN}/transfers?type=mint&minAmount=3000&limit=1"],
    "/accounts/{address}": [f"/accounts/{ACCOUNT}"],
    "/accounts/{address}/balances": [f"/accounts/{ACCOUNT}/balances?height=300&limit=1"],
    "/accounts/{address}/transfers": [f"/accounts/{ACCOUNT}/transfers?format=csv&limit=2"],
    "/accounts/{address}/tokens/{tokenPath}/series": [f"{PAIR}/series?interval=100"],
    "/accounts/{address}/tokens/{tokenPath}/statement": [f"{PAIR}/statement?limit=1"],
    "/transactions/{hash}": [f"/transactions/{HASH}"],
    "/blocks/{height}": ["/blocks/185"],
    "/events/refused": ["/events/refused?reason=foreign_emitter&limit=1"],
    "/events/stream": [],
    "/status": [],
    "/ready": [],
    "/health": ["/health"],
}
"""Requests by route of the OpenAPI schema. Routes without one answer with the time of the request, or without end."""


def test_api_docs_have_every_route_as_the_api_answers_it(gnotest: Recording, client: Client) -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    assert set(schema["paths"]) == set(EXAMPLES)
    generated = "\n".join(_route(client, path, schema) for path in EXAMPLES)
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    committed, after = rest.split(END)
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(f"{before}{BEGIN}{generated}\n{END}{after}")
        committed = f"{generated}\n"
    assert committed == f"{generated}\n"


def _route(client: Client, path: str, schema: dict[str, Any]) -> str:
    """A section: summary, table of parameters, and each example with its answer."""
    operation = schema["paths"][path]["get"]
    parts = [f"## `GET {path}`\n", f"{operation['summary']}.\n"]
    if parameters := [each for each in operation.get("parameters", ()) if each["in"] != "header"]:
        parts.append("| parameter | values | |\n|---|---|---|")
        parts += [f"| `{each['name']}` | {_values(each)} | {_cell(each['description'])} |" for each in parameters]
        parts.append("")
    for url in EXAMPLES[path]:
        response = client.get(url, headers={"accept": "*/*"})
        body = (b"".join(response) if response.streaming else response.content).decode()
        parts.append(f"```\n$ curl -s 'localhost:8000{url}'\n{_readable(body, response['Content-Type'])}\n```\n")
    return "\n".join(parts)


def _values(parameter: dict[str, Any]) -> str:
    """Type, allowed values, bounds and default of a parameter."""
    shape = parameter["schema"]
    allowed = shape.get("enum") or shape.get("items", {}).get("enum") or []
    words = [", ".join(f"`{each}`" for each in allowed) or shape["type"]]
    if "minimum" in shape and "maximum" in shape:
        words.append(f"{shape['minimum']} to {shape['maximum']}")
    if "default" in shape:
        words.append(f"default `{shape['default']}`")
    if parameter["in"] == "path":
        words.append("in the path")
    return ", ".join(words)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _readable(body: str, content_type: str) -> str:
    """The body; JSON is broken into lines between members, and long cursors are cut."""
    body = re.sub(r"cursor=[\w%.~-]+", "cursor=…", body).replace("http://testserver", "http://localhost:8000").rstrip()
    if "json" not in content_type or "ndjson" in content_type:
        return body.replace("\r\n", "\n")
    compact = json.dumps(json.loads(body), ensure_ascii=False, separators=(", ", ":"))
    lines = textwrap.wrap(compact, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
