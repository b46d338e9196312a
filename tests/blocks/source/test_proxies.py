"""Which proxy leads to an endpoint, by the environment as other clients read it, or by TX_INDEXER_PROXY."""

import pytest

from blocks.source.proxies import Proxy, ProxyInvalid, proxy_for

ANY = {"HTTP_PROXY": "http://plain:1", "HTTPS_PROXY": "http://secure:2"}


def chosen(url: str, own: str = "", **environ: str) -> str | None:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":") if rest.rpartition(":")[2].isdecimal() else (rest, "", "")
    proxy = proxy_for(scheme, host.strip("[]"), int(port) if port else None, own, environ)
    return proxy.url if proxy else None


@pytest.mark.parametrize(
    ("url", "environ", "expected"),
    [
        ("http://host", {}, None),
        ("http://host", ANY, "http://plain:1"),
        ("https://host", ANY, "http://secure:2"),
        ("http://host", {"http_proxy": "http://lower:3", "HTTP_PROXY": "http://upper:4"}, "http://lower:3"),
        ("http://host", {"http_proxy": "", "HTTP_PROXY": "http://upper:4"}, None),
        ("https://host", {"HTTP_PROXY": "http://plain:1"}, None),
        ("https://host", {"ALL_PROXY": "http://all:5"}, "http://all:5"),
        ("http://host", {"all_proxy": "http://all:5", **ANY}, "http://plain:1"),
        ("http://host", {"HTTP_PROXY": "", "ALL_PROXY": "http://all:5"}, None),
        ("http://host", {"WS_PROXY": "http://websocket:6"}, None),
        ("http://host", {"HTTP_PROXY": "plain:1"}, "http://plain:1"),
        ("http://host", {"HTTP_PROXY": " http://plain/ "}, "http://plain:80"),
        ("http://host", {"HTTP_PROXY": "https://tls"}, "https://tls:443"),
        ("http://host", {"HTTP_PROXY": "http://[::1]:8"}, "http://[::1]:8"),
    ],
)
def test_the_proxy_of_the_environment_is_chosen_by_scheme(
    url: str, environ: dict[str, str], expected: str | None
) -> None:
    assert chosen(url, **environ) == expected


@pytest.mark.parametrize(
    ("no_proxy", "direct", "proxied"),
    [
        ("host", ["http://host", "http://host:81", "http://a.host"], ["http://ghost", "http://host.org"]),
        ("example.org", ["http://example.org", "http://a.b.example.org"], ["http://badexample.org"]),
        (".example.org", ["http://a.example.org", "http://example.org"], ["http://badexample.org"]),
        ("*.example.org", ["http://a.example.org"], ["http://badexample.org"]),
        ("EXAMPLE.org", ["http://example.org", "http://example.org."], []),
        ("host:8546", ["http://host:8546"], ["http://host", "http://host:8547"]),
        ("host:80", ["http://host"], ["https://host"]),
        ("10.0.0.0/8", ["http://10.1.2.3:8546"], ["http://11.0.0.1", "http://ten"]),
        ("10.1.2.3", ["http://10.1.2.3"], ["http://10.1.2.30", "http://110.1.2.3"]),
        ("::1,fd00::/8", ["http://[::1]:8546", "http://[fd00::5]"], ["http://[fe80::1]", "http://127.0.0.1"]),
        ("[::1]:8546", ["http://[::1]:8546"], ["http://[::1]:8547"]),
        ("one, two three,", ["http://one", "http://two", "http://three"], ["http://four"]),
        ("*", ["http://anything", "https://[::1]"], []),
        ("", [], ["http://host"]),
        (" , .", [], ["http://host"]),
    ],
)
def test_no_proxy_names_what_is_reached_directly(no_proxy: str, direct: list[str], proxied: list[str]) -> None:
    for own in ("", "http://own:9"):
        assert [chosen(url, own, NO_PROXY=no_proxy, **ANY) for url in direct] == [None] * len(direct)
        assert all(chosen(url, own, NO_PROXY=no_proxy, **ANY) for url in proxied)


def test_the_own_variable_replaces_the_environment() -> None:
    assert chosen("https://host", "http://own:9", **ANY) == "http://own:9"
    assert chosen("https://host", "none", **ANY) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("socks5://me:hunter2@host:1080", "SOCKS is not supported"),
        ("socks5h://hunter2", "SOCKS is not supported"),
        ("ftp://hunter2", "not http"),
        ("http://", "not http"),
        ("http://host:0/", "not http"),
        ("http://me:hunter2:x:y/", "host and port"),
        ("http://host:hunter2", "host and port"),
        ("http://me:12/hunter2@host", "follows the host"),
        ("http://me:hunter2/x@host", "host and port"),
        ("http://host/hunter2", "follows the host"),
        ("http://host?hunter2", "follows the host"),
    ],
)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy", "TX_INDEXER_PROXY"])
def test_a_wrong_proxy_is_refused_by_the_name_of_its_variable(variable: str, value: str, problem: str) -> None:
    own, environ = (value, {}) if variable == "TX_INDEXER_PROXY" else ("", {variable: value})
    with pytest.raises(ProxyInvalid, match=f"{variable} .*{problem}") as refused:
        proxy_for("http", "host", None, own, environ)
    assert "hunter2" not in str(refused.value)


def test_a_wrong_proxy_that_no_endpoint_uses_is_no_problem() -> None:
    assert chosen("http://host", ALL_PROXY="socks5://host:1080", **ANY) == "http://plain:1"
    assert chosen("http://host", HTTP_PROXY="socks5://host:1080", NO_PROXY="host") is None


def test_credentials_of_a_proxy_are_decoded_and_not_shown() -> None:
    proxy = proxy_for("http", "host", None, "http://me:p%40ss@gate:3128", {})
    assert proxy == Proxy("http://gate:3128", ("me", "p@ss"))
    assert proxy.headers == {"Proxy-Authorization": "Basic bWU6cEBzcw=="}
    assert proxy.url_with_credentials == "http://me:p%40ss@gate:3128"
    assert "p@ss" not in repr(proxy)
