"""The forward proxy to an endpoint, if any: by TX_INDEXER_PROXY, or by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

Imports nothing of Django, for settings read it.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import quote, unquote, urlsplit

OWN_VARIABLE = "TX_INDEXER_PROXY"
DIRECT = "none"
_DEFAULT_PORTS = {"http": 80, "https": 443}


class ProxyInvalid(ValueError):
    """The value of `variable` is not a usable proxy; the text does not show it, for it may hold a password."""

    def __init__(self, variable: str, problem: str) -> None:
        super().__init__(f"{variable} is not a proxy that can be used: {problem}")
        self.variable = variable


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP forward proxy. `url` is scheme://host:port; the credentials are decoded, and None when there are none."""

    url: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """What a request to the proxy carries for the proxy alone."""
        return {"Proxy-Authorization": basic_authorization(*self.credentials)} if self.credentials else {}

    @property
    def url_with_credentials(self) -> str:
        """For the websocket library, which takes them in the URL only."""
        if not self.credentials:
            return self.url
        scheme, _, rest = self.url.partition("://")
        user, password = (quote(each, safe="") for each in self.credentials)
        return f"{scheme}://{user}:{password}@{rest}"


def basic_authorization(user: str, password: str) -> str:
    """The value of a header that carries Basic credentials (RFC 7617, in UTF-8)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def proxy_for(scheme: str, host: str, port: int | None, own: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy to scheme://host:port; None: it is reached directly. Raises `ProxyInvalid`.

    `own` is the value of TX_INDEXER_PROXY: a URL replaces the proxies of `environ`, `none` means no proxy at all. The
    variables of `environ` are in either case, the lower one first; one that is set and empty counts as set.
    """
    if own == DIRECT or _bypassed(host, port or _DEFAULT_PORTS[scheme], _variable(environ, "no_proxy")[1]):
        return None
    if own:
        return _parse(OWN_VARIABLE, own)
    name, value = _variable(environ, f"{scheme}_proxy")
    if not name:
        name, value = _variable(environ, "all_proxy")
    return _parse(name, value) if value else None


def _variable(environ: Mapping[str, str], lower: str) -> tuple[str, str]:
    """The name as it is in the environment and the value; both empty when it is not there."""
    for name in (lower, lower.upper()):
        if name in environ:
            return name, environ[name].strip()
    return "", ""


def _parse(variable: str, value: str) -> Proxy:
    with_scheme = value if "://" in value else f"http://{value}"  # as curl and requests read it
    try:
        parts = urlsplit(with_scheme)
        host, port = parts.hostname, parts.port
    except ValueError:  # its text would show a part of the value
        raise ProxyInvalid(
            variable,
            "it has no readable host and port; in a user or password, : / ? # @ are written %3A %2F %3F %23 %40",
        ) from None
    if parts.scheme.startswith("socks"):
        raise ProxyInvalid(variable, "SOCKS is not supported, only http:// and https:// proxies are")
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0:
        raise ProxyInvalid(variable, "it is not http(s)://host:port")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ProxyInvalid(variable, "something follows the host and port; / ? # in a password are written %2F %3F %23")
    shown = f"[{host}]" if ":" in host else host
    credentials = (unquote(parts.username or ""), unquote(parts.password or ""))
    return Proxy(
        f"{parts.scheme}://{shown}:{port or _DEFAULT_PORTS[parts.scheme]}", credentials if any(credentials) else None
    )


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Is `host` in NO_PROXY: *, names with all below them, addresses and networks, each with a port or without."""
    host = host.rstrip(".").lower()
    return any(_covers(entry, host, port) for entry in re.split(r"[,\s]+", no_proxy.lower()) if entry)


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    match = re.fullmatch(r"(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]+))?", entry)
    if match and match["port"] and int(match["port"]) != port:
        return False
    name = (match["v6"] or match["name"]) if match else entry
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except (ValueError, TypeError):  # one of the two is a name
        name = name.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
