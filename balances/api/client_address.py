"""Client address of a request, also behind trusted proxies, for rate limits and admin log-ins."""

import ipaddress
import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

_IPV6_HOME = 64
"""Prefix length of one client's IPv6 network: it may change the other bits with every request."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""A translator in front of this host writes IPv4 clients so: they do not share one network."""
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?", re.ASCII)
_WITH_PORT = re.compile(r"(.*):[0-9]{1,5}", re.ASCII)


def client_address(meta: Mapping[str, Any]) -> str | None:
    """Return the address that rate limits count: the client's own, or that of the nearest known hop behind it.

    A proxy that hides its clients ("unknown", "_hidden", "unix:") shares one limit with them alone. None when not even
    the connection has an address (a Unix socket without X-Forwarded-For).
    """
    addresses = (_parsed(hop) for hop in _hops(meta))
    return next((address for address in addresses if address is not None), None)


def own_address(meta: Mapping[str, Any]) -> str | None:
    """Return the address of the client itself; None when its hop has no valid address."""
    return _parsed(_hops(meta)[0])


@cache
def warn_of_unknown(consequence: str) -> None:
    """Log once for each `consequence` that clients have no address, and that TRUSTED_PROXIES decides."""
    logger.warning(
        "A client's address is not known, so %s: TRUSTED_PROXIES must be the number of proxies that append to "
        "X-Forwarded-For trusted_proxies=%d",
        consequence,
        settings.TRUSTED_PROXIES,
    )


def _hops(meta: Mapping[str, Any]) -> list[str]:
    """Return the trusted hops of the request: the client first, the connection itself last.

    Each of `TRUSTED_PROXIES` proxies appends its peer to `X-Forwarded-For`, so the client is the entry of the outermost
    one; entries further left come from the client. Empty entries count: a client could shift the position otherwise.
    """
    forwarded = meta.get("HTTP_X_FORWARDED_FOR") if settings.TRUSTED_PROXIES else None
    hops = forwarded.split(",")[-settings.TRUSTED_PROXIES :] if forwarded else []
    return [*hops, meta.get("REMOTE_ADDR") or ""]


def _parsed(text: str) -> str | None:
    """Parse an address, also with port, brackets, zone or quotes; an IPv6 address becomes its /64 network."""
    text = text.strip().strip('"').strip()
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    for each in (text, *_WITH_PORT.findall(text)):  # whole first: the end of an IPv6 address looks like a port
        try:
            address = ipaddress.ip_address(each.partition("%")[0])
        except ValueError:
            continue
        return _grouped(address)
    return None


def _grouped(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if address.is_link_local:  # all hosts of the link share one network
        return str(address)
    return str(ipaddress.IPv6Network((int(address), _IPV6_HOME), strict=False).network_address)
