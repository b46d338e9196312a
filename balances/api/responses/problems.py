"""Errors as `application/problem+json` (RFC 9457), with an `error` key as well, for every way a request can fail."""

import logging
import sys
from http import HTTPStatus
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from rest_framework.response import Response
from rest_framework.views import exception_handler

from balances.queries.errors import database_refusal, shown
from postgres.errors import Reaction, reaction

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"


def problem(status: int, detail: str, **members: object) -> dict[str, Any]:
    """The body of an error."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "error": detail, **members}


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """Django REST framework's exception handler; what it leaves (None) is a 500, answered by `server_error`."""
    if _database_refuses(error):
        logger.error("Request refused: the database failed error=%s", str(error).strip())
        error = database_refusal(error)
    elif isinstance(error, SuspiciousOperation):
        members = {} if not str(error) else {"detail": str(error)}
        return _as_problem(Response(members, status=HTTPStatus.BAD_REQUEST), context, {})
    response = exception_handler(error, context)
    if response is None:
        return None
    return _as_problem(response, context, getattr(error, "members", {}))


def _database_refuses(error: BaseException) -> bool:
    """Whether the database is away, or cannot serve now, rather than that it was asked for something wrong."""
    waited_for = (Reaction.WAIT, Reaction.SMALLER, Reaction.MIGRATE)
    return isinstance(error, Error) and reaction(error) in waited_for


def _as_problem(response: Response, context: dict[str, Any], members: dict[str, object]) -> Response:
    given = response.data.get("detail") if isinstance(response.data, dict) else None
    response.data = problem(response.status_code, str(given or HTTPStatus(response.status_code).phrase), **members)
    response.headers["Cache-Control"] = "no-store"
    renderer = getattr(context["request"], "accepted_renderer", None)
    if renderer is None or renderer.format != "api":  # the browsable API shows the same members as a page
        response.content_type = PROBLEM_JSON
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what is refused before a view is found, such as a host that is not served here."""
    return refusal(request, HTTPStatus.BAD_REQUEST, "The request was refused before it was read; the log says why.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return refusal(request, HTTPStatus.FORBIDDEN, "Permission denied.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return refusal(request, HTTPStatus.NOT_FOUND, f"There is nothing at {shown(request.path)}. See {reverse('docs')}.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, which is also where a database that is away ends up outside the API (the admin)."""
    error = sys.exc_info()[1]
    if error is not None and _database_refuses(error):
        away = database_refusal(error)
        return refusal(request, away.status_code, str(away.detail), retry_after=away.wait)
    return refusal(request, HTTPStatus.INTERNAL_SERVER_ERROR, "This is a fault of the server, and it is in its log.")


def refusal(request: HttpRequest, status: int, detail: str, *, retry_after: int | None = None) -> HttpResponse:
    """An error outside the API's routes: a page for those who ask for one. `retry_after`: in so many seconds."""
    body = problem(status, detail)
    if request.get_preferred_type(["application/json", PROBLEM_JSON, "text/html"]) == "text/html":
        response = HttpResponse(render_to_string("balances/problem.html", body), status=status)
    else:
        response = JsonResponse(body, status=status, content_type=PROBLEM_JSON)
    response.headers["Cache-Control"] = "no-store"
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    patch_vary_headers(response, ("Accept",))
    return response
