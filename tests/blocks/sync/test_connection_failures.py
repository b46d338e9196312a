"""The way out to an endpoint: rows and websocket go through the same proxy, with the credentials of each hop."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from blocks.source import subscription
from blocks.source.client import EndpointUnavailable, Limits, TxIndexer
from blocks.source.endpoint_url import parse_endpoints
from blocks.source.subscription import Doorbell
from replay.recording import Recording
from replay.server import ReplaySource
from tests.blocks.sync_runner import wait_until
from tests.gateway import Gateway

pytestmark = pytest.mark.indexer

LIMITS = Limits(timeout=5.0, max_bytes=1 << 20, connections=1)
CREDENTIALS = "team:s3cr3t/p@ss"
QUOTED = "team:s3cr3t%2Fp%40ss"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscription, "FIRST_PAUSE", 0.05)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def source(short: Recording) -> Iterator[ReplaySource]:
    with ReplaySource(short, start=10) as replay:
        yield replay


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for 127.0.0.1 that this process trusts."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextmanager
def subscribed(url: str, source: ReplaySource, proxy: str = "") -> Iterator[None]:
    """A subscription to `url` that has reached `source`."""
    notifications: list[int] = []
    subscription = Doorbell(parse_endpoints([url], proxy), lambda: notifications.append(1))
    subscription.start()
    try:
        wait_until(lambda: source.subscriptions == 1)
        source.advance()
        wait_until(lambda: notifications)
        yield
    finally:
        subscription.stop()


def tip(url: str, proxy: str = "") -> int:
    (address,) = parse_endpoints([url], proxy)
    indexer = TxIndexer(address, LIMITS)
    try:
        return indexer.tip()
    finally:
        indexer.close()


def assert_both_ways_work(url: str, source: ReplaySource, proxy: str = "") -> None:
    assert tip(url, proxy) == 9
    with subscribed(url, source, proxy):
        pass


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "TX_INDEXER_PROXY"])
def test_rows_and_websocket_with_a_proxy_go_through_it(
    source: ReplaySource, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with Gateway() as proxy:
        own = proxy.url if variable == "TX_INDEXER_PROXY" else ""
        monkeypatch.setenv(variable, proxy.url)
        assert_both_ways_work(source.url, source, own)
        assert set(proxy.requests) == {f"POST {source.url}", f"CONNECT 127.0.0.1:{source.port}"}


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "127.0.0.0/8", "*"])
def test_rows_and_websocket_to_a_host_in_no_proxy_go_directly(
    source: ReplaySource, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    with Gateway() as proxy:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        assert_both_ways_work(source.url, source)
        assert proxy.requests == []


def test_rows_and_websocket_with_the_proxy_none_go_directly(
    source: ReplaySource, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gateway() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert_both_ways_work(source.url, source, "none")
        assert proxy.requests == []


def test_a_proxy_that_wants_credentials_gets_those_of_its_url(source: ReplaySource) -> None:
    with Gateway(credentials=CREDENTIALS) as proxy:
        assert_both_ways_work(source.url, source, f"http://{QUOTED}@{proxy.address}")
        assert proxy.methods() == {"POST", "CONNECT"}


def test_a_proxy_that_refuses_the_credentials_is_named_without_them(
    source: ReplaySource, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with Gateway(credentials="team:other") as proxy:
        way = f"http://{QUOTED}@{proxy.address}"
        with pytest.raises(EndpointUnavailable, match="the proxy") as refused:
            tip(source.url, way)
        subscription = Doorbell(parse_endpoints([source.url], way), lambda: None)
        subscription.start()
        wait_until(lambda: "Subscription lost" in caplog.text)
        subscription.stop()
    assert "HTTP 407" in caplog.text
    for secret in ("s3cr3t", "p@ss", "dGVhbT"):
        assert secret not in f"{refused.value}{caplog.text}"


def test_an_https_endpoint_behind_an_https_proxy_is_reached_both_ways(
    source: ReplaySource, tls: ssl.SSLContext
) -> None:
    with Gateway(upstream=source.url, tls=tls) as endpoint, Gateway(credentials=CREDENTIALS, tls=tls) as proxy:
        assert_both_ways_work(endpoint.url, source, f"https://{QUOTED}@{proxy.address}")
        assert set(proxy.requests) == {f"CONNECT {endpoint.address}"}
        assert endpoint.methods() == {"POST", "GET"}


def test_an_http_endpoint_behind_an_https_proxy_is_reached_both_ways(source: ReplaySource, tls: ssl.SSLContext) -> None:
    with Gateway(tls=tls) as proxy:
        assert_both_ways_work(source.url, source, proxy.url)
        assert proxy.methods() == {"POST", "CONNECT"}


def test_an_endpoint_that_wants_credentials_gets_those_of_its_url_both_ways(source: ReplaySource) -> None:
    with Gateway(upstream=source.url, credentials=CREDENTIALS) as endpoint:
        url = f"http://{QUOTED}@{endpoint.address}/graphql/query?apikey=KEY"
        assert_both_ways_work(url, source)
        assert set(endpoint.requests) == {"POST /graphql/query?apikey=KEY", "GET /graphql/query?apikey=KEY"}


def test_credentials_of_endpoint_and_proxy_each_reach_their_own_hop(source: ReplaySource) -> None:
    with Gateway(upstream=source.url, credentials=CREDENTIALS) as endpoint, Gateway(credentials="me:mine") as proxy:
        assert_both_ways_work(
            f"http://{QUOTED}@{endpoint.address}/graphql/query", source, f"http://me:mine@{proxy.address}"
        )
        assert proxy.methods() == {"POST", "CONNECT"}
        assert endpoint.methods() == {"POST", "GET"}
