"""Headers that keep a browser from doing what no page of ours asks for."""

import pytest
from django.test import Client

from tests.balances.api.routes import every_route

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/", "/docs", "/tokens/balances", "/admin/login/", "/nothing", "/tokens/x?limit=0"])
def test_a_page_runs_nothing_but_our_own_scripts(client: Client, path: str) -> None:
    response = client.get(path, headers={"Accept": BROWSER})
    assert response["Content-Type"].startswith("text/html")
    policy = dict(part.strip().split(" ", 1) for part in response["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    page = response.content.decode()
    assert all("src=" in part.split(">")[0] for part in page.split("<script")[1:]), "an inline script would not run"
    assert " onclick=" not in page


def test_what_is_no_page_does_nothing_as_one(client: Client) -> None:
    for path in (*every_route(), "/schema", "/nothing"):
        response = client.get(path)
        assert response["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert response["X-Content-Type-Options"] == "nosniff"
        assert response["X-Frame-Options"] == "DENY"
        assert response["Referrer-Policy"] == "same-origin"
