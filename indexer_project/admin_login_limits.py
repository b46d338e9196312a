"""Logging in to the admin: who may not try any more (django-axes), and what they are told.

An address that failed too often is shut out for a while, under whatever names it tried: names shut out would let
anybody keep the administrator out. For the same reason nothing is shut out where a client's address is not known: that
would be everybody else without one. Only logging in is refused; sessions that are open, and the API, are not affected.
"""

from collections.abc import Mapping
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from balances.api.client_address import own_address, warn_of_unknown
from balances.api.responses.problems import refusal


def address_of(request: HttpRequest) -> str | None:
    """AXES_CLIENT_IP_CALLABLE."""
    return own_address(request.META)


def never_locked_out(request: HttpRequest, credentials: object) -> bool:
    """AXES_WHITELIST_CALLABLE: a client without an address of its own, whose failures are not counted."""
    if own_address(request.META) is not None:
        return False
    warn_of_unknown("failed log-ins do not shut it out")
    return True


def name_of(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """AXES_USERNAME_CALLABLE: the name that was tried, as much of it as axes' column holds."""
    return ((credentials or request.POST).get("username") or "")[:255]


def locked_out(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    detail = f"Too many log-ins from your address failed. Try again in {seconds // 60} minutes."
    return refusal(request, HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after=seconds)
