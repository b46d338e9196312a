"""Callbacks of django-axes: lockout of client addresses after failed admin log-ins, and the 429 response.

An address is locked out for a while, whatever user names it tried: a lockout by name would let anyone keep the
administrator out. A client without a known address is never locked out, since all such clients would share the lockout.
Open sessions and the API are not affected.
"""

from collections.abc import Mapping
from http import HTTPStatus

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from balances.api.client_address import own_address, warn_of_unknown
from balances.api.responses.problems import refusal


def address_of(request: HttpRequest) -> str | None:
    """AXES_CLIENT_IP_CALLABLE: the client address to count failures for."""
    return own_address(request.META)


def never_locked_out(request: HttpRequest, credentials: object) -> bool:
    """AXES_WHITELIST_CALLABLE: whether the client has no address, so that failures are not counted."""
    if own_address(request.META) is not None:
        return False
    warn_of_unknown("failed log-ins do not shut it out")
    return True


def name_of(request: HttpRequest, credentials: Mapping[str, str] | None) -> str:
    """AXES_USERNAME_CALLABLE: the user name of the attempt, cut to the length of the column of axes."""
    return ((credentials or request.POST).get("username") or "")[:255]


def locked_out(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    """AXES_LOCKOUT_CALLABLE: the response of a locked-out address."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    detail = f"Too many log-ins from your address failed. Try again in {seconds // 60} minutes."
    return refusal(request, HTTPStatus.TOO_MANY_REQUESTS, detail, retry_after=seconds)
