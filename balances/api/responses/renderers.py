"""Which form an answer takes: JSON, or a page for a person with a browser."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request

from balances.queries.errors import BadParameter, shown

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module


class Json(JSONRenderer):
    """JSON, for a long page ten times as fast. What is indented, or odd, Django REST framework writes itself."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if data is not None and self.get_indent(accepted_media_type or "", renderer_context or {}) is None:
            with suppress(TypeError):
                return to_json(data)
        written: bytes = super().render(data, accepted_media_type, renderer_context)
        return written


class BrowsablePage(BrowsableAPIRenderer):
    """The browsable API in this project's frame."""

    template = "balances/browsable.html"

    def get_rendered_html_form(self, data: object, view: "APIView", method: str, request: Request) -> None:
        return None  # everything here is read


class _Lines(BaseRenderer):
    """Lists are written by `balances.api.responses.export`; what is rendered here is an error, always JSON."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


class CsvLines(_Lines):
    media_type = "text/csv"
    format = "csv"


class NdjsonLines(_Lines):
    media_type = "application/x-ndjson"
    format = "ndjson"


class Negotiation(DefaultContentNegotiation):
    """By the Accept header, or by `format`, of which an unknown value is a bad parameter and not a missing page."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if request.query_params.get(str(self.settings.URL_FORMAT_OVERRIDE)) == "":
            self.filter_renderers(renderers, "")
        chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
        return chosen

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        served = list(renderers)
        chosen = [renderer for renderer in served if renderer.format == format]
        if not chosen:
            known = ", ".join(sorted(str(renderer.format) for renderer in served))
            raise BadParameter(
                str(self.settings.URL_FORMAT_OVERRIDE), f"{shown(format)} is not served here", f"One of {known}"
            )
        return chosen


class Lenient(Negotiation):
    """JSON for a client that accepts nothing of what there is: a probe must not fail for its Accept."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            first = next(iter(renderers))
            return first, str(first.media_type)


def to_json(data: object) -> bytes:
    """As compact as can be, in UTF-8; also what is JSON and yet ends a line in JavaScript is escaped."""
    written = msgspec.json.encode(data)
    if written.isascii():
        return written
    return written.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
