"""Errors as `application/problem+json` (RFC 9457), with an `error` key as well, for every way a request can fail."""

import logging
import sys
from http import HTTPStatus
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from rest_framework.response import Response
from rest_framework.views import exception_handler

from balances.api.refusals import RETRY_SECONDS, BadParameter, DatabaseAway, shown

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
DATABASE_AWAY = (OperationalError, InterfaceError)


def problem(status: int, detail: str, **members: str) -> dict[str, Any]:
    """The body of an error."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "error": detail, **members}


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler; what it leaves (None) is a 500, answered by `server_error`."""
    if isinstance(error, DATABASE_AWAY):
        logger.error("Request refused: database away error=%s", str(error).strip())
        error = DatabaseAway()
    elif isinstance(error, SuspiciousOperation):
        members = {} if not str(error) else {"detail": str(error)}
        return _as_problem(Response(members, status=HTTPStatus.BAD_REQUEST), context, {})
    response = exception_handler(error, context)
    if response is None:
        return None
    return _as_problem(response, context, {"parameter": error.parameter} if isinstance(error, BadParameter) else {})


def _as_problem(response: Response, context: dict[str, Any], members: dict[str, str]) -> Response:
    given = response.data.get("detail") if isinstance(response.data, dict) else None
    response.data = problem(response.status_code, str(given or HTTPStatus(response.status_code).phrase), **members)
    renderer = getattr(context["request"], "accepted_renderer", None)
    if renderer is None or renderer.format == "json":  # the browsable API shows the same members as a page
        response.content_type = PROBLEM_JSON
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what is refused before a view is found, such as a host that is not served here."""
    return _respond(request, HTTPStatus.BAD_REQUEST, "The request was refused before it was read; the log says why.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if _wants_html(request):
        return defaults.permission_denied(request, exception)
    return _respond(request, HTTPStatus.FORBIDDEN, "Permission denied.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404: JSON, unless the client asks for a page."""
    if _wants_html(request):
        return defaults.page_not_found(request, exception)
    return _respond(request, HTTPStatus.NOT_FOUND, f"There is nothing at {shown(request.path)}. See /docs.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, which is also where a database that is away ends up outside the API (the admin)."""
    if isinstance(sys.exc_info()[1], DATABASE_AWAY):
        response = _respond(request, HTTPStatus.SERVICE_UNAVAILABLE, DatabaseAway.default_detail)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response
    if _wants_html(request):
        return defaults.server_error(request)
    return _respond(request, HTTPStatus.INTERNAL_SERVER_ERROR, "This is a fault of the server, and it is in its log.")


def _wants_html(request: HttpRequest) -> bool:
    return request.get_preferred_type(["application/json", PROBLEM_JSON, "text/html"]) == "text/html"


def _respond(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    return JsonResponse(problem(status, detail), status=status, content_type=PROBLEM_JSON)
