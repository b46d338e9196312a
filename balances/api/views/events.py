"""The route of the stream of events. Another process serves it (balances/stream): here is only the way there."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpResponseRedirect
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from balances.api.openapi import parameters, responses

NOT_SERVED = "There is no stream of events here: it takes a manage.py runstream, and STREAM_URL to say where it is."

_ID = "485-0-1@0"
_PARAMETERS = [
    parameters.ADDRESS_PARAMETER,
    parameters.TOKEN_PARAMETER,
    OpenApiParameter(
        "fromHeight",
        parameters.FROM_HEIGHT_PARAMETER.type,
        description="Begin with this height. Without it, and without an id, the stream begins with the present.",
    ),
    OpenApiParameter(
        "lastEventId",
        OpenApiTypes.STR,
        description="As Last-Event-ID, for clients that cannot send headers.",
        examples=[OpenApiExample("none"), OpenApiExample("an id", _ID)],
    ),
    OpenApiParameter(
        "Last-Event-ID",
        OpenApiTypes.STR,
        OpenApiParameter.HEADER,
        description="Begin after the event of this id. Browsers send it by themselves when they come back.",
    ),
    parameters.AMOUNTS_PARAMETER,
    OpenApiParameter(
        "Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[307], description="The stream's own address."
    ),
    OpenApiParameter(
        "Retry-After", OpenApiTypes.INT, OpenApiParameter.HEADER, response=[429, 503], description="Seconds to wait."
    ),
]
_EXAMPLE = f"""retry: 3000
id: 484@0
event: progress
data: {{"chainId":"gnotest-1","indexedHeight":484,"includesUpTo":484,"acceptedGaps":0,"firstHeight":1,"generation":0}}

id: {_ID}
event: transfer
data: {{"fromAddress":"","toAddress":"g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5","tokenPath":"gno.land/r/demo/defi/…"}}

"""
_RESPONSES: dict[Any, Any] = {
    (200, "text/event-stream"): OpenApiResponse(
        OpenApiTypes.STR,
        "Events, for as long as the client stays. `transfer`: a transfer, as /tokens/transfer-history has it, in the "
        "chain's order, each once, as soon as everything up to its height is in. `progress`: how far the index is; the "
        "first event, and now and then. `corrected`: the past was corrected, so what was sent before may be wrong now: "
        "read the lists again. An id says how far a client was sent everything; begun after it, the stream has neither "
        "gaps nor repeats. A line that begins with a colon is a sign of life.",
        [OpenApiExample("a stream", _EXAMPLE, response_only=True, status_codes=["200"])],
    ),
    307: OpenApiResponse(description="The stream is there: clients follow by themselves."),
    **{key: said for key, said in responses.error_responses().items() if key[0] not in (406, 409)},
}


class AnyAccepted(BaseContentNegotiation):
    """A browser that opens a stream accepts nothing but `text/event-stream`, and is shown the way there."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        chosen = next(iter(renderers))
        return chosen, str(chosen.media_type)


class EventStreamViewSet(ViewSet):
    """Transfers as they are applied, as server-sent events; resumed after any of them without gaps or repeats."""

    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AnyAccepted

    @extend_schema(operation_id="streamEvents", tags=["events"], parameters=_PARAMETERS, responses=_RESPONSES)
    def list(self, request: Request) -> HttpResponseRedirect:
        if not settings.STREAM_URL:
            raise NotFound(NOT_SERVED)
        query = request.META.get("QUERY_STRING", "")
        where = f"{settings.STREAM_URL}?{query}" if query else settings.STREAM_URL
        return HttpResponseRedirect(where, preserve_request=True)
