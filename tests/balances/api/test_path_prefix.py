"""An API under a path of a shared host: every URL begins with the path, whoever takes it off the request."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.staticfiles.finders import find
from django.test import Client
from django.urls import get_script_prefix
from pytest_django import Settings

from balances.api.middleware.path_prefix import ROUTES, is_prefix
from balances.api.urls import urlpatterns
from indexer_project.urls import urlpatterns as of_project
from replay.recording import Recording
from tests.balances.api.fast_path_parity import HISTORY, Both

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FOO = "gno.land/r/demo/defi/foo20"
BROWSER = {"Accept": "text/html"}
FORWARDED = {"X-Forwarded-Prefix": "/indexer"}


@pytest.fixture(params=["variable", "header"])
def prefixed(request: pytest.FixtureRequest, settings: Settings) -> Iterator[dict[str, str]]:
    """Headers with which a request is one under /indexer."""
    settings.TRUSTED_PROXIES = 1
    if request.param == "variable":
        settings.PATH_PREFIX = "/indexer"
        yield {"X-Forwarded-Prefix": "/something/else"}
    else:
        yield FORWARDED
    assert get_script_prefix() == "/", "the next request has a prefix of its own"


@pytest.mark.parametrize("kept", ["", "/indexer"])
def test_every_url_begins_with_the_prefix(
    gnotest: Recording, client: Client, prefixed: dict[str, str], kept: str
) -> None:
    page = client.get(f"{kept}/tokens?limit=2", headers=prefixed)
    body = page.json()
    assert body["next"].startswith("http://testserver/indexer/tokens?")
    assert page["Link"] == f'<{body["next"]}>; rel="next"'
    second = client.get(body["next"].replace("/indexer", kept), headers=prefixed).json()
    assert second["tokens"][0]["tokenPath"] > body["tokens"][-1]["tokenPath"]
    links = client.get(f"{kept}/", headers=prefixed).json()
    assert all(link.startswith("http://testserver/indexer/") for link in links.values())
    schema = client.get(f"{kept}/schema", headers=prefixed | {"Accept": "application/json"}).json()
    assert schema["servers"] == [{"url": "/indexer"}]
    assert "/tokens" in schema["paths"]
    assert "See /indexer/docs." in client.get(f"{kept}/nothing", headers=prefixed).json()["detail"]


@pytest.mark.parametrize("path", ["/", "/docs", "/tokens/balances", "/tokens/x?limit=0", "/nothing", "/admin/login/"])
@pytest.mark.parametrize("kept", ["", "/indexer"])
def test_pages_load_and_link_to_what_is_under_the_prefix(
    client: Client, prefixed: dict[str, str], kept: str, path: str
) -> None:
    page = client.get(f"{kept}{path}", headers=prefixed | BROWSER).content.decode()
    found = re.findall(r'(?:src|href|action)="([^"#]+)"', page)
    assert found
    for each in found:
        assert re.match(r"(http://testserver)?/indexer(/|$)|data:|\?", each), each
        if "/static/" in each:
            assert find(each.removeprefix("/indexer/static/")), each


@pytest.mark.parametrize("kept", ["", "/indexer"])
def test_a_session_stays_under_the_prefix(
    client: Client, django_user_model: Any, prefixed: dict[str, str], kept: str
) -> None:
    django_user_model.objects.create_superuser("admin", password="correct horse battery staple")
    sent = client.get(f"{kept}/admin/", headers=prefixed)
    assert (sent.status_code, sent["Location"]) == (302, "/indexer/admin/login/?next=/indexer/admin/")
    form = {"username": "admin", "password": "correct horse battery staple", "next": "/indexer/admin/"}
    done = client.post(f"{kept}/admin/login/", form, headers=prefixed)
    assert (done.status_code, done["Location"]) == (302, "/indexer/admin/")
    assert done.cookies.keys() >= {"sessionid", "csrftoken"}
    assert {cookie["path"] for cookie in done.cookies.values()} == {"/indexer"}


def test_redirects_lead_under_the_prefix(client: Client, settings: Settings, prefixed: dict[str, str]) -> None:
    settings.STREAM_URL = "https://testserver/indexer/events/stream"
    assert client.get("/events/stream?address=", headers=prefixed)["Location"] == f"{settings.STREAM_URL}?address="
    settings.SECURE_SSL_REDIRECT = True
    sent = Client().get("/tokens?limit=2", headers=prefixed)
    assert (sent.status_code, sent["Location"]) == (301, "https://testserver/indexer/tokens?limit=2")


@pytest.mark.parametrize("url", [f"/tokens/{FOO}/balances?limit=3", f"{HISTORY}?limit=3"])
@pytest.mark.parametrize("kept", ["", "/indexer"])
def test_the_fast_lane_answers_the_same(
    gnotest: Recording, both: Both, prefixed: dict[str, str], kept: str, url: str
) -> None:
    headers = {name.replace("-", "_"): value for name, value in prefixed.items()}
    answer, alone = both.same(f"{kept}{url}", **headers)
    assert alone
    assert "<http://testserver/indexer/tokens/" in answer["Link"]
    again, alone = both.same(f"{kept}{url}", **headers, If_None_Match=answer["ETag"])
    assert (again.status, alone) == ("304 Not Modified", True)


def test_the_fast_lane_keeps_prefixes_apart(gnotest: Recording, both: Both, settings: Settings) -> None:
    settings.TRUSTED_PROXIES = 1
    for prefix in ("/a", "/b", "", "/a/b", "//evil.example"):
        answer, alone = both.same(f"{HISTORY}?limit=3", X_Forwarded_Prefix=prefix)
        assert f"<http://testserver{prefix if is_prefix(prefix) else ''}/tokens/" in answer["Link"]
        assert alone
        assert ("X-Forwarded-Prefix" in answer["Vary"]) is is_prefix(prefix), "a cache must not mix them up"


def test_a_server_that_was_told_the_prefix_itself(gnotest: Recording, both: Both, settings: Settings) -> None:
    """As granian's --url-path-prefix does: the fast path answers then too."""
    for _ in range(2):
        answer, alone = both.same(f"{HISTORY}?limit=3", SCRIPT_NAME="/indexer")
    assert alone
    assert "<http://testserver/indexer/tokens/" in answer["Link"]


def test_without_a_proxy_of_ones_own_the_header_means_nothing(gnotest: Recording, client: Client) -> None:
    page = client.get("/tokens?limit=2", headers=FORWARDED)
    assert page.json()["next"].startswith("http://testserver/tokens?")
    assert "X-Forwarded-Prefix" not in page.get("Vary", "")


NONE = [
    *("", "/", "//", "//evil.example", "/a//b", "evil.example", "https://evil.example", "/a/../b", "/..", "/.", "/a/."),
    *("/a b", "/a\r\nSet-Cookie: x=1", "/a?b", "/a#b", "/a%2Fb", "/a;b", "/a:b@c", "/\\evil.example", "/é", "/\x00"),
    "/" + "a" * 200,
]  # fmt: skip


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_path_is_no_prefix(client: Client, settings: Settings, text: str) -> None:
    assert not is_prefix(text)
    settings.TRUSTED_PROXIES = 1
    page = client.get("/", headers={"X-Forwarded-Prefix": text}).json()
    assert page["tokens"] == "http://testserver/tokens"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/indexer/", "/indexer"), ("/a/b.c/d-e_f~g", "/a/b.c/d-e_f~g"), ("/evil, /indexer", "/indexer"), ("/a, //b", "")],
)  # fmt: skip
def test_of_several_headers_the_nearest_proxys_counts(
    client: Client, settings: Settings, text: str, expected: str
) -> None:
    settings.TRUSTED_PROXIES = 2
    assert (
        client.get("/", headers={"X-Forwarded-Prefix": text}).json()["tokens"] == f"http://testserver{expected}/tokens"
    )


def test_a_prefix_that_begins_like_a_route_is_never_taken_off(
    gnotest: Recording, client: Client, settings: Settings
) -> None:
    settings.PATH_PREFIX = "/tokens"
    body = client.get("/tokens/balances?limit=1").json()
    assert len(body["balances"]) == 1
    assert body["next"].startswith("http://testserver/tokens/tokens/balances?")


def test_all_that_routes_begin_with_is_known() -> None:
    routes: list[Any] = [*urlpatterns, *of_project]
    begins = {re.sub(r"[^a-z].*", "", str(each.pattern).lstrip("^")) for each in routes}
    assert begins - {""} | {"static"} == ROUTES
