"""Who sends a request: the address that counts for limits and log-ins, also behind proxies."""

import ipaddress
import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.conf import settings

logger = logging.getLogger(__name__)

_IPV6_HOME = 64
"""Bits of an IPv6 address that one client has for itself: it may change the others with every request."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""A translator in front of this host writes IPv4 clients so: they do not share one network."""
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?", re.ASCII)
_WITH_PORT = re.compile(r"(.*):[0-9]{1,5}", re.ASCII)


def client_address(meta: Mapping[str, Any]) -> str | None:
    """The address that limits count for a request: the client's own, or the nearest one behind it that is known.

    A proxy that hides its clients ("unknown", "_hidden", "unix:") shares one limit with them, and takes nothing from
    anybody else's. None when not even the connection has an address (a Unix socket without a proxy's word).
    """
    found = (_parsed(hop) for hop in _hops(meta))
    return next((address for address in found if address is not None), None)


def own_address(meta: Mapping[str, Any]) -> str | None:
    """The address of the client alone; None when what stands in its place is no address."""
    return _parsed(_hops(meta)[0])


@cache
def warn_of_unknown(consequence: str) -> None:
    """Log, once for each `consequence`, that clients have no address here, and what decides about it."""
    logger.warning(
        "A client's address is not known, so %s: TRUSTED_PROXIES must be the number of proxies that append to "
        "X-Forwarded-For trusted_proxies=%d",
        consequence,
        settings.TRUSTED_PROXIES,
    )


def _hops(meta: Mapping[str, Any]) -> list[str]:
    """Where the request came from, as far as it is believed: the client first, the connection itself last.

    With `TRUSTED_PROXIES` proxies of one's own in front, each of which appends to `X-Forwarded-For` where the request
    came from, the client is what the outermost of them saw. What stands further left the client sent. Nothing is left
    out of the list before it is counted: whoever could add an empty entry would otherwise move the count.
    """
    forwarded = meta.get("HTTP_X_FORWARDED_FOR") if settings.TRUSTED_PROXIES else None
    hops = forwarded.split(",")[-settings.TRUSTED_PROXIES :] if forwarded else []
    return [*hops, meta.get("REMOTE_ADDR") or ""]


def _parsed(text: str) -> str | None:
    """The address in `text`, which may have a port, brackets, a zone or quotes; of IPv6 its network of 64 bits."""
    text = text.strip().strip('"').strip()
    if bracketed := _BRACKETED.fullmatch(text):
        text = bracketed[1]
    for each in (text, *_WITH_PORT.findall(text)):  # an IPv6 address as it is, before its end is taken for a port
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
    if address.is_link_local:  # every host of the link is in that one network
        return str(address)
    return str(ipaddress.IPv6Network((int(address), _IPV6_HOME), strict=False).network_address)
