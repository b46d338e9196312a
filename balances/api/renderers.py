"""Which form an answer takes: JSON, or a page for a person with a browser."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer
from rest_framework.request import Request

from balances.api.refusals import BadParameter, shown

if TYPE_CHECKING:
    from rest_framework.views import APIView  # it imports this module


class BrowsablePage(BrowsableAPIRenderer):
    """The browsable API in this project's frame."""

    template = "balances/browsable.html"

    def get_rendered_html_form(self, data: object, view: "APIView", method: str, request: Request) -> None:
        return None  # everything here is read


class Negotiation(DefaultContentNegotiation):
    """By the Accept header, or by `format`, of which an unknown value is a bad parameter and not a missing page."""

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        served = list(renderers)
        chosen = [renderer for renderer in served if renderer.format == format]
        if not chosen:
            known = ", ".join(sorted(str(renderer.format) for renderer in served))
            raise BadParameter(
                str(self.settings.URL_FORMAT_OVERRIDE), f"{shown(format)} is not served here", f"One of {known}"
            )
        return chosen
