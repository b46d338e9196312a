"""Who sends a request: the address that counts for limits, also behind proxies."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from django.conf import settings

_IPV6_HOME = 64
"""Bits of an IPv6 address that one client has for itself: it may change the others with every request."""


def client_address(meta: Mapping[str, Any]) -> str | None:
    """The address of the client in `meta` (WSGI's environment); of IPv6 the network of 64 bits. None when unknown.

    With `TRUSTED_PROXIES` proxies of one's own in front, each of which appends to `X-Forwarded-For` where the request
    came from, it is what the outermost of them saw. What stands further left the client sent, and is not believed.
    """
    text = meta.get("REMOTE_ADDR") or ""
    if settings.TRUSTED_PROXIES:
        hops = meta.get("HTTP_X_FORWARDED_FOR", "").split(",")
        text = hops[-min(settings.TRUSTED_PROXIES, len(hops))].strip() or text
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((int(address), _IPV6_HOME), strict=False).network_address)
    return text
