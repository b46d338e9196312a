"""Addresses of endpoints: what is sent, what is shown, and what is refused without being shown."""

import base64

import pytest

from blocks.source.endpoint_url import EndpointAddress, endpoint_problems, parse_endpoints


def parsed(address: str) -> EndpointAddress:
    (endpoint,) = parse_endpoints([address], environ={})
    return endpoint


@pytest.mark.parametrize(
    ("address", "name", "request_url"),
    [
        ("https://host/graphql/query", "https://host", "https://host/graphql/query"),
        ("http://user:secret@host:8546/q?apikey=KEY#timeout=2", "http://host:8546", "http://host:8546/q?apikey=KEY"),
        ("HTTPS://Host.Example/Q", "https://host.example", "https://host.example/Q"),
        ("http://[::1]:8546/q", "http://[::1]:8546", "http://[::1]:8546/q"),
        ("http://host", "http://host", "http://host"),
        ("http://host/q?to=a%40b", "http://host", "http://host/q?to=a%40b"),
    ],
)
def test_an_address_is_split_into_public_name_and_request_url(address: str, name: str, request_url: str) -> None:
    assert (parsed(address).public_name, parsed(address).request_url) == (name, request_url)


@pytest.mark.parametrize(
    ("user_info", "credentials"),
    [
        ("team:secret", "team:secret"),
        ("te%40m:s%3Acret%2F%25", "te@m:s:cret/%"),
        ("team", "team:"),
        (":secret", ":secret"),
        ("team:sécret", "team:sécret"),
        ("team:100%", "team:100%"),
    ],
)
def test_credentials_of_an_address_are_decoded_and_sent_as_basic(user_info: str, credentials: str) -> None:
    sent = parsed(f"http://{user_info}@host/q").headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == credentials


@pytest.mark.parametrize("address", ["http://host/q", "http://@host/q", "http://:@host/q"])
def test_an_address_without_credentials_sends_none(address: str) -> None:
    assert parsed(address).headers == {}


def test_endpoints_of_one_host_and_port_have_names_of_their_own() -> None:
    addresses = [
        "http://a:1/x?key=one",
        "http://b/x",
        "http://u:p@a:1/x?key=two",
        "https://a:1/x",
        "http://a:1/x?key=one",
    ]
    names = [endpoint.public_name for endpoint in parse_endpoints(addresses, environ={})]
    assert names == ["http://a:1", "http://b", "http://a:1 (2)", "https://a:1", "http://a:1 (3)"]


@pytest.mark.parametrize(
    "address",
    [
        "hunter2",
        "ws://hunter2/",
        "http://",
        "http://:80/hunter2",
        "http://host:0/hunter2",
        "http://host:hunter2/q",
        "http://host:99999/hunter2",
        "http://[hunter2/q",
        "http://host/q#hunter2=1",
        "http://host/q#hunter2",
        "http://host/q#timeout=hunter2",
        # A password with a character that ends host or path: nothing of it may pass for host, port, path or options.
        "http://user:hunter2/x@host/q",
        "http://user:12/hunter2@host/q",
        "http://user:12?hunter2@host/q",
        "http://user:12#hunter2@host/q",
        "http://user%3Ahunter2:x@host/q",
        "http://user:hunter2\u2100x@host/q",  # urlsplit would quote it in its own error
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_being_shown(address: str) -> None:
    ((variable, problem),) = endpoint_problems(["http://good/q", address], environ={})
    assert variable == "TX_INDEXER_URLS"
    assert "TX_INDEXER_URLS, address 2 of 2: " in problem
    assert "hunter2" not in problem


def test_the_representation_of_an_endpoint_shows_no_secret() -> None:
    (endpoint,) = parse_endpoints(["http://user:hunter2@host/k3y-in-path?k=hunter2"], "http://me:hunter2@proxy:1", {})
    assert "http://host" in repr(endpoint)
    for secret in ("hunter2", "k3y-in-path", "Basic"):
        assert secret not in repr(endpoint)


@pytest.mark.parametrize(
    "text",
    [
        "Max retries exceeded with url: /v2/0123456789abcdef/q?apikey=KEY&x=a%2Fsecret",
        "no route for https://team:s3cr3t@host/v2/0123456789abcdef/q?apikey=KEY",
        "unknown key 'KEY'",
        "user team, password s3cr3t",
        "path a/secret",
        "Authorization: Basic dGVhbTpzM2NyM3Q=",
    ],
)
def test_a_text_that_quotes_an_address_is_shown_without_its_secrets(text: str) -> None:
    endpoint = parsed("https://team:s3cr3t@host/v2/0123456789abcdef/q?apikey=KEY&x=a%2Fsecret")
    shown = endpoint.redact(text)
    for secret in ("team", "s3cr3t", "KEY", "0123456789abcdef", "dGVhb", "a/secret", "a%2Fsecret"):
        assert secret not in shown
    assert "…" in shown


def test_a_text_without_secrets_stays_as_it_is() -> None:
    endpoint = parsed("https://u:p@host/graphql/query?v=1&net=gno")
    for text in ("HTTP 500", "Cannot query field on type Transaction", "ignorance of height 11", "u and p"):
        assert endpoint.redact(text) == text
