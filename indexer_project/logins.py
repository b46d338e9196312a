"""Logging in to the admin: who may not try any more (django-axes), and what they are told.

An address that failed too often is shut out for a while, under whatever names it tried: names shut out would let
anybody keep the administrator out. Only logging in is refused; whoever is logged in, and the API, notice nothing.
"""

from collections.abc import Mapping
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from balances.api.clients import client_address
from balances.api.problems import refusal


def address_of(request: HttpRequest) -> str | None:
    """AXES_CLIENT_IP_CALLABLE."""
    return client_address(request.META)


def name_of(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """AXES_USERNAME_CALLABLE: the name that was tried, as much of it as axes' column holds."""
    return ((credentials or request.POST).get("username") or "")[:255]


def locked_out(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    detail = f"Too many log-ins from your address failed. Try again in {seconds // 60} minutes."
    return refusal(request, HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after=seconds)
