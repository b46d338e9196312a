"""The OpenAPI schema, its documentation page, and the browsable API."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from balances.models import Token
from replay.recording import Recording
from tests.balances.api.client import LISTS, Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PATHS = ("/tokens/balances", "/tokens/{tokenPath}/balances", "/tokens/transfer-history")


@pytest.fixture
def schema(client: Client) -> Any:
    return client.get("/schema", headers={"Accept": "application/json"}).json()


def test_the_schema_is_valid_and_complete(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    schema = yaml.safe_load((tmp_path / "schema.yaml").read_text())
    assert schema["openapi"].startswith("3.1")
    assert set(schema["paths"]) >= {*PATHS, "/health"}


def test_the_schema_is_served_with_and_without_a_slash(client: Client) -> None:
    assert client.get("/schema").content == client.get("/schema/").content
    assert client.get("/schema?format=json").json()["info"]["title"]


def test_every_error_is_documented_with_an_example(schema: Any) -> None:
    for path in PATHS:
        responses = schema["paths"][path]["get"]["responses"]
        assert set(responses) == {"200", "304", "400", "404", "405", "406", "409", "429", "500", "503"}
        for status in set(responses) - {"200", "304"}:
            (example,) = responses[status]["content"]["application/problem+json"]["examples"].values()
            jsonschema.validate(example["value"], {"$ref": "#/components/schemas/Problem", **schema})


def test_answers_are_as_the_schema_says(gnotest: Recording, api: Api, schema: Any) -> None:
    for path, url in zip(PATHS, LISTS, strict=True):
        said = schema["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        shape = said | {"components": schema["components"]}
        for query in ({"limit": 50}, {"limit": 2, "amounts": "string"}, {"limit": 1000}):
            body = api.get(url, **query)
            jsonschema.validate(body, shape)
            properties = schema["components"]["schemas"][said["$ref"].rsplit("/", 1)[1]]["properties"]
            assert set(body) == set(properties) - {"height", "time"}, "these are said of the past"
    jsonschema.validate(
        api.problem("/tokens/balances", 400, limit=0), {"$ref": "#/components/schemas/Problem", **schema}
    )


def test_every_parameter_that_is_allowed_is_documented(api: Api, schema: Any) -> None:
    for path, url in zip(PATHS, LISTS, strict=True):
        documented = {
            parameter["name"] for parameter in schema["paths"][path]["get"]["parameters"] if parameter["in"] == "query"
        }
        detail = api.problem(url, 400, wrong="1")["detail"]
        assert set(detail.split("Allowed are ")[1].rstrip(".").split(", ")) == documented


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_the_documentation_needs_no_network_and_no_inline_script(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    page = response.content.decode()
    assert "http://" not in page
    assert "https://" not in page
    assert all("src=" in part.split(">")[0] for part in page.split("<script")[1:])
    assert client.get("/docs?script=").status_code == 200


@pytest.mark.parametrize("path", [*LISTS, "/", "/health", "/tokens/balances?limit=0"])
def test_a_browser_gets_a_page(gnotest: Recording, client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": BROWSER})
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "gno.land token indexer" in response.content.decode()
    assert "button-form" not in response.content.decode(), "there is nothing to send"
    assert not response.cookies, "a page that anybody may cache sets no cookie"
    assert "Accept" in response["Vary"]


def test_what_a_chain_calls_its_tokens_is_shown_and_not_obeyed(gnotest: Recording, client: Client) -> None:
    Token.objects.filter(symbol="FOO").update(name="<script>alert(1)</script>")
    page = client.get("/tokens/balances", headers={"Accept": BROWSER}).content
    assert b"<script>alert" not in page
    assert b"&lt;script&gt;alert(1)" in page
    assert json.loads(client.get("/tokens/balances").content)["balances"][0]["name"] == "<script>alert(1)</script>"


def test_the_index_leads_to_every_route(client: Client, schema: Any, settings: Settings) -> None:
    settings.STREAM_URL = "https://stream.example.org/events/stream"
    links = client.get("/").json()
    assert {f"/{path}" for path in links} == {*schema["paths"], "/schema", "/docs", "/admin"}
    assert links["tokens/{tokenPath}/balances"] == "http://testserver/tokens/{tokenPath}/balances"
    for path, link in links.items():
        if "{" not in link:
            assert client.get(link).status_code != 404, path
