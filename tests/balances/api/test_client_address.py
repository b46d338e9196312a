"""Whose address a request counts for: the client's own, as far as one's own proxies tell it."""

import pytest
from pytest_django import Settings

from balances.api.client_address import client_address, own_address

pytestmark = [pytest.mark.api]

PROXY = "192.0.2.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:41001", "203.0.113.7"),
        ('"203.0.113.7:41001"', "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
        ("::ffff:203.0.113.7:443", "203.0.113.7"),
        ("64:ff9b::cb00:7107", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:DB8:1:2:3:4:5:6:41001", "2001:db8:1:2::"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::"),
        ('"[2001:db8:1:2::9]:4711"', "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::2%eth0]:80", "fe80::2"),
        ("2001:db8:1:2::9%1", "2001:db8:1:2::"),
        *((junk, None) for junk in ("", "unknown", "_hidden", "unix:", "-", "localhost", "203.0.113", "203.0.113.300")),
        *((junk, None) for junk in ("203.0.113.7:", "203.0.113.7:port", "[203", "[]:80", "[unknown]:80", "::1::")),
        *((junk, None) for junk in ("3405803783", "203.0.113.007", "203.0.113.7/24", "203.0.113.7\x00", ":" * 5000)),
    ],
)  # fmt: skip
def test_an_address_is_read_however_a_proxy_writes_it(settings: Settings, text: str, expected: str | None) -> None:
    settings.TRUSTED_PROXIES = 1
    # The first one is the client's own invention.
    meta = {"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": f"198.51.100.1,{text}"}
    assert own_address(meta) == expected
    assert client_address(meta) == (expected or PROXY)
    settings.TRUSTED_PROXIES = 0
    assert own_address({"REMOTE_ADDR": text}) == client_address({"REMOTE_ADDR": text}) == expected


@pytest.mark.parametrize(
    ("proxies", "forwarded", "own", "counted"),
    [
        (0, "203.0.113.9", PROXY, PROXY),
        (1, None, PROXY, PROXY),
        (1, "", PROXY, PROXY),
        (1, "203.0.113.9", "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, ", None, PROXY),
        (1, "198.51.100.1,,", None, PROXY),
        (2, "203.0.113.9", "203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1,203.0.113.9", "198.51.100.1", "198.51.100.1"),
        (2, "10.0.0.1, 198.51.100.1 , 203.0.113.9", "198.51.100.1", "198.51.100.1"),
        (2, "198.51.100.1, unknown, 203.0.113.9", None, "203.0.113.9"),
        (2, "198.51.100.1, unknown, unix:", None, PROXY),
        (2, "198.51.100.1, 203.0.113.9:80, unix:", "203.0.113.9", "203.0.113.9"),
    ],
)
def test_only_what_ones_own_proxies_say_is_believed(
    settings: Settings, proxies: int, forwarded: str | None, own: str | None, counted: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    meta = {"REMOTE_ADDR": PROXY} | ({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})
    assert (own_address(meta), client_address(meta)) == (own, counted)
