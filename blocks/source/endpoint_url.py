"""Addresses of endpoints: what is requested and with which credentials, and the name that logs and tables show.

An address is a URL, with limits of its own behind `#`: `connections=2&timeout=10&max_bytes=1000000`. Everything outside
the two clients of an endpoint (`tx_indexer`, `doorbell`) uses the public name only. Imports nothing of Django, for
settings read it.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_plus, urlsplit

from blocks.source.proxies import Proxy, ProxyInvalid, basic_authorization, proxy_for

VARIABLE = "TX_INDEXER_URLS"
OPTIONS = ("connections", "timeout", "max_bytes")

# Below this a path segment is a word of the route and no key; below that a value is too short to be a secret.
_LONG_SEGMENT = 8
_SHORTEST_SECRET = 3


class AddressInvalid(ValueError):
    """An address cannot be used; the text says why and shows nothing of it, for any part may be a password."""


@dataclass(frozen=True, slots=True)
class EndpointAddress:
    """One endpoint. `request_url` is without user, password and options, `headers` carry the credentials.

    `proxy` is the way to it, for rows and for the websocket. `secrets` are the parts that are never shown.
    """

    public_name: str
    request_url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    proxy: Proxy | None
    options: Mapping[str, float]
    secrets: frozenset[str] = field(repr=False)

    @property
    def websocket_url(self) -> str:
        """The websocket beside the HTTP address: ws for http, wss for https."""
        return "ws" + self.request_url.removeprefix("http")

    def redact(self, text: str) -> str:
        """`text` of a server or proxy without this address's secrets, which it may quote."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            # A short one is replaced as a whole word only, so that the rest of the text stays readable.
            edges = ("", "") if len(secret) >= _LONG_SEGMENT else (r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])")
            text = re.sub(edges[0] + re.escape(secret) + edges[1], "…", text)
        return text


def parse_endpoints(
    addresses: Sequence[str], proxy: str = "", environ: Mapping[str, str] = os.environ
) -> list[EndpointAddress]:
    """The endpoints of `addresses`, in order, each with a public name of its own.

    Endpoints that share scheme, host and port are told apart by a number: `https://host`, `https://host (2)`. `proxy`
    is the value of TX_INDEXER_PROXY, see `proxy_for`. Raises `AddressInvalid` and `ProxyInvalid`.
    """
    seen: Counter[str] = Counter()
    endpoints = []
    for address in addresses:
        endpoint = _parse(address, proxy, environ)
        seen[endpoint.public_name] += 1
        number = seen[endpoint.public_name]
        endpoints.append(
            endpoint if number == 1 else replace(endpoint, public_name=f"{endpoint.public_name} ({number})")
        )
    return endpoints


def endpoint_problems(
    addresses: Sequence[str], proxy: str = "", environ: Mapping[str, str] = os.environ
) -> Iterator[tuple[str, str]]:
    """The variable and what is wrong with it, for each address that cannot be used and each proxy on the way to one."""
    refused = set()
    for position, address in enumerate(addresses, 1):
        try:
            _parse(address, proxy, environ)
        except AddressInvalid as invalid:
            yield VARIABLE, f"{VARIABLE}, address {position} of {len(addresses)}: {invalid}."
        except ProxyInvalid as invalid:
            if invalid.variable not in refused:
                yield invalid.variable, f"{invalid}."
            refused.add(invalid.variable)


def _parse(address: str, proxy: str, environ: Mapping[str, str]) -> EndpointAddress:
    parts, port = _split(address)
    host = parts.hostname or ""
    server = f"{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    credentials = (unquote(parts.username or ""), unquote(parts.password or ""))
    if ":" in credentials[0]:
        raise AddressInvalid("a user name with a colon cannot be sent as Basic credentials")
    headers = {"Authorization": basic_authorization(*credentials)} if any(credentials) else {}
    way = proxy_for(parts.scheme, host, port, proxy, environ)
    return EndpointAddress(
        public_name=f"{parts.scheme}://{server}",
        request_url=parts._replace(netloc=server, fragment="").geturl(),
        headers=headers,
        proxy=way,
        options=_options(parts.fragment),
        secrets=_secrets(
            parts, [*credentials, *((way and way.credentials) or ())], [headers, way.headers if way else {}]
        ),
    )


def _split(address: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:  # its text would show a part of the address
        raise AddressInvalid(
            "it has no readable host and port; in a user or password, / ? # @ and , are written %2F %3F %23 %40 %2C"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise AddressInvalid("it is not http(s)://host…; a comma within an address is written %2C")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        # Most likely the / ? or # before it is part of a password, which then would pass for host, path and options.
        raise AddressInvalid("an @ behind the host is written %40; / ? # in a user or password are %2F %3F %23")
    return parts, port


def _options(fragment: str) -> dict[str, float]:
    options: dict[str, float] = {}
    for name, text in parse_qsl(fragment, keep_blank_values=True):
        if name not in OPTIONS:
            raise AddressInvalid(f"what follows # is none of the options {', '.join(OPTIONS)}; a # in the URL is %23")
        try:
            options[name] = float(text) if name == "timeout" else int(text)
        except ValueError:
            options[name] = 0
        if not 0 < options[name] < float("inf"):
            raise AddressInvalid(f"option {name} is not a number above 0")
    return options


def _secrets(parts: SplitResult, credentials: Sequence[str], headers: Sequence[Mapping[str, str]]) -> frozenset[str]:
    segments = [segment for segment in parts.path.split("/") if len(segment) >= _LONG_SEGMENT]
    # Of `name=value` the value, of a part without a name the part.
    values = [part.partition("=")[2] if "=" in part else part for part in parts.query.split("&")]
    tokens = [value.partition(" ")[2] for each in headers for value in each.values()]
    plain = {*segments, *values, *credentials, *tokens, parts.query}
    spellings = {
        spelling for text in plain for spelling in (text, unquote(text), unquote_plus(text), quote(unquote(text)))
    }
    return frozenset(spelling for spelling in spellings if len(spelling) >= _SHORTEST_SECRET)
