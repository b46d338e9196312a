"""The fast path answers as Django does, to the byte, or leaves it to Django."""

from urllib.parse import quote, urlencode

import pytest
from django.test import override_settings

from balances.api import fast_path, throttling
from replay.recording import Recording
from tests.balances.api.fast_path_parity import HISTORY, Both, ask, check_pages, check_whatever

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOLDER = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
BUSY = "g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf"
FOO, FOO_REALM = "gno.land/r/demo/defi/foo20.FOO.0000000", "gno.land/r/demo/defi/foo20"
FACTORY = "gno.land/r/demo/defi/grc20factory"


FAST: list[tuple[str, dict[str, str]]] = [
    ("/tokens/balances", {"address": HOLDER}),
    ("/tokens/balances/", {"address": HOLDER, "limit": "2"}),
    ("/tokens/balances", {"address": HOLDER, "include": "zero", "amounts": "string"}),
    ("/tokens/balances", {"address": HOLDER, "standard": "true", "minAmount": "5"}),
    (f"/tokens/{FOO}/balances", {}),
    (f"/tokens/{FOO}/balances", {"limit": "3"}),
    (f"/tokens/{FOO_REALM}/balances", {"limit": "3"}),
    (f"/tokens/{FOO_REALM}:FOO/balances", {"limit": "3"}),
    (f"/tokens/{quote(FOO_REALM + ':FOO', safe='')}/balances", {"address": HOLDER}),
    (f"/accounts/{HOLDER}/balances", {"token": f"{FOO_REALM}:FOO.0000000"}),
    (f"/tokens/{quote(FOO, safe='')}/balances", {"address": HOLDER}),
    (f"/tokens/{FOO_REALM}/balances", {"address": HOLDER, "amounts": "string"}),
    (f"/tokens/{FOO}/balances", {"address": HOLDER, "height": "200"}),
    (f"/tokens/{FOO}/balances", {"address": HOLDER, "time": "2026-11-22T08:16:30Z"}),
    (f"/tokens/{FOO}/balances", {"address": f"{HOLDER},{BUSY}", "height": "485", "limit": "1", "include": "zero"}),
    (f"/tokens/{FOO}/holders", {"limit": "3"}),
    (f"/accounts/{HOLDER}/balances", {"limit": "1"}),
    (f"/accounts/{HOLDER}/transfers", {"limit": "7"}),
    (HISTORY, {}),
    (HISTORY, {"address": HOLDER, "limit": "5"}),
    (HISTORY, {"address": HOLDER, "direction": "out", "order": "asc"}),
    (HISTORY, {"address": "", "token": ""}),
]


@pytest.mark.parametrize(("path", "query"), FAST)
def test_the_hot_routes_are_answered_by_the_fast_lane_page_after_page(
    both: Both, gnotest: Recording, path: str, query: dict[str, str]
) -> None:
    check_pages(both, f"{path}?{urlencode(query)}")


def test_whatever_is_asked_both_answer_the_same(both: Both, gnotest: Recording) -> None:
    check_whatever(both)


def test_what_a_client_has_is_not_sent_again(both: Both, gnotest: Recording) -> None:
    answer, _ = both.same(f"/tokens/{FOO}/balances")
    for known in (answer["ETag"], f'"other", {answer["ETag"]}', "*"):
        again, alone = both.same(f"/tokens/{FOO}/balances", If_None_Match=known)
        assert (again.status, again.content, alone) == ("304 Not Modified", b"", True)
    again, alone = both.same(f"/tokens/{FOO}/balances", If_None_Match='"other"')
    assert (again, alone) == (answer, True)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("/tokens/balances", {"Accept": "text/html"}),
        (f"/tokens/balances?address={HOLDER}", {"Accept": "application/json; indent=4"}),
        (f"/tokens/balances?address={HOLDER}", {"Accept": "text/csv"}),
        (f"/tokens/balances?address={HOLDER}", {"Cookie": "sessionid=x"}),
        (f"/tokens/balances?address={HOLDER}&format=json", {}),
        (f"/tokens/balances?address={HOLDER}&limit=0", {}),
        (f"/tokens/balances?address={HOLDER}&address={HOLDER}", {}),
        (f"/tokens/balances?address={HOLDER}&minHeight=1", {}),
        (f"/tokens/balances?address={HOLDER}&height=100", {}),
        (f"/tokens/balances?address={HOLDER.upper()}1", {}),
        (f"/tokens/{FACTORY}/balances", {}),
        ("/tokens/nothing/balances", {}),
        (f"{HISTORY}?type=mint", {}),
        ("/health", {}),
        ("/nowhere", {}),
    ],
)
def test_what_is_not_plain_is_left_to_django(both: Both, gnotest: Recording, url: str, headers: dict[str, str]) -> None:
    _, alone = both.same(url, **headers)
    assert not alone


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
def test_only_get_is_answered(both: Both, gnotest: Recording, method: str) -> None:
    _, alone = both.same(f"/tokens/balances?address={HOLDER}", method)
    assert not alone


@pytest.mark.parametrize(
    "headers",
    [{"Accept_Encoding": "gzip"}, {"Origin": "https://wallet.example.org"}, {"Accept": "application/json, */*;q=0.5"}],
)
def test_headers_are_those_of_the_request(both: Both, gnotest: Recording, headers: dict[str, str]) -> None:
    both.same(HISTORY)
    long, alone = both.same(HISTORY, **headers)
    assert alone
    assert ("Content-Encoding", "gzip") in long.headers or "Accept_Encoding" not in headers
    assert both.same(f"/tokens/{FOO}/balances?limit=1", **headers)[1]


@override_settings(CORS_ORIGINS=["https://wallet.example.org"])
def test_an_origin_that_may_not_read_is_not_told_what_another_was(both: Both, gnotest: Recording) -> None:
    both = Both()  # middleware reads its settings when it is made
    allowed, _ = both.same(HISTORY, Origin="https://wallet.example.org")
    other, alone = both.same(HISTORY, Origin="https://other.example.org")
    assert alone
    assert allowed["Access-Control-Allow-Origin"] == "https://wallet.example.org"
    assert "Access-Control-Allow-Origin" not in dict(other.headers)


def test_a_host_that_is_not_served_is_refused_however_often_it_asks(both: Both, gnotest: Recording) -> None:
    both.same(HISTORY)
    answer, alone = both.same(HISTORY, Host="evil.example.org")
    assert (answer.status, alone) == ("400 Bad Request", False)


def test_a_client_that_only_revalidates_is_answered_from_the_first_request_on(both: Both, gnotest: Recording) -> None:
    for url in (HISTORY, f"/tokens/{FOO}/balances"):
        answer = ask(both.express, url, {"If-None-Match": "*"})
        assert (answer.status, answer) == ("304 Not Modified", ask(both.django, url, {"If-None-Match": "*"}))
    assert not both.passed_on


def test_invented_headers_take_no_memory(both: Both, gnotest: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "MOST_KEPT", 5)
    for number in range(20):
        headers = {"Origin": f"https://{number}.example.org", "Accept": f"application/json, text/x-{number}"}
        answer, alone = both.same(f"{HISTORY}?limit=1", **headers)
        assert (answer.status, alone) == ("200 OK", True)
    assert len(both.express._headers._kept) == 1
    for number in range(20):
        ask(both.express, HISTORY, {"Host": f"{number}.example.org"})
    assert len(both.express._headers._kept) <= 5


@pytest.mark.parametrize("seconds", [0, 3600])
@pytest.mark.parametrize("hosts", [False, True])
def test_https_headers_and_redirects_are_those_of_django(
    both: Both, gnotest: Recording, seconds: int, hosts: bool
) -> None:
    with override_settings(
        SECURE_SSL_REDIRECT=True,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
        SECURE_HSTS_SECONDS=seconds,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=hosts,
        SECURE_HSTS_PRELOAD=hosts,
    ):
        both = Both()  # middleware reads its settings when it is made
        answer, alone = both.same(HISTORY, X_Forwarded_Proto="https")
        assert alone
        assert ("Strict-Transport-Security" in dict(answer.headers)) is (seconds > 0)
        assert "<https://testserver/" in answer["Link"]
        unchanged, alone = both.same(HISTORY, X_Forwarded_Proto="https", If_None_Match=answer["ETag"])
        assert (unchanged.status, alone) == ("304 Not Modified", True)
        redirect, alone = both.same(HISTORY)
        assert (redirect.status, alone) == ("301 Moved Permanently", False)


def test_headers_that_another_thread_clears_meanwhile_are_made_again(both: Both, gnotest: Recording) -> None:
    class Cleared(dict[tuple[object, ...], fast_path.Headers | None]):
        """Every key is gone by the time it is read."""

        def __contains__(self, key: object) -> bool:
            return True

        def __getitem__(self, key: tuple[object, ...]) -> fast_path.Headers | None:
            raise KeyError(key)

    both.express._headers._kept = Cleared()
    answer, alone = both.same(f"{HISTORY}?limit=1")
    assert (answer.status, alone) == ("200 OK", True)


def test_every_request_counts(both: Both, gnotest: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    both.same(HISTORY)
    monkeypatch.setattr(throttling, "_addresses", throttling.Limit(3, 60))
    both.passed_on = 0
    assert [ask(both.express, HISTORY, {}).status[:3] for _ in range(5)] == ["200", "200", "200", "429", "429"]
    assert both.passed_on == 2
