"""What a person sees: the documentation as a whole, and pages whose every script, style and picture is served here."""

import re
from typing import Any

import pytest
from django.contrib.staticfiles.finders import find
from django.test import Client

from balances.api.openapi.info import GROUPS

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

PAGES = ("/", "/docs", "/tokens/balances", "/tokens/balances?limit=0", "/nothing", "/admin/login/")


@pytest.fixture
def schema(client: Client) -> Any:
    return client.get("/schema", headers={"Accept": "application/json"}).json()


def test_every_route_has_a_group_and_a_line_of_its_own(schema: Any) -> None:
    routes = [route for path in schema["paths"].values() for route in path.values()]
    for route in routes:
        assert set(route["tags"]) <= GROUPS.keys()
        assert 3 < len(route["summary"]) < 100, route["summary"]
        assert route["summary"] == route["summary"].strip(" .;:")
    assert len({route["summary"] for route in routes}) == len(routes)
    assert [group["name"] for group in schema["tags"]] == [
        name for name in GROUPS if any(name in route["tags"] for route in routes)
    ]
    assert "indexedHeight" in schema["info"]["description"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_only_for_what_is_here(client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": "text/html"})
    page = response.content.decode()
    loaded = re.findall(r'<(?:script|img)[^>]+src="([^"]+)"', page) + re.findall(r'<link[^>]+href="([^"]+)"', page)
    for each in loaded:
        if each.startswith("/static/"):
            assert find(each.removeprefix("/static/")), each
        else:
            assert each == "data:," or each.startswith("/docs?script="), each
    assert "<title>" in page
