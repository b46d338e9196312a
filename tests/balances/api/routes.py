"""Every route of the API, as the OpenAPI schema has it, with values from the recorded chain `gnotest-1`."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from drf_spectacular.generators import SchemaGenerator

from blocks.models import EndpointState

VALUES = {
    "tokenPath": "gno.land/r/demo/defi/foo20.FOO.0000000",
    "address": "g14cvqqfx0yu6d54dj0j6vadcz05vk5jfl49mlpf",
    "height": "60",
    "hash": "bs6IgCvzDBPt6EC0gNM40+XfLX2gf1keAXQayrkTTyU=",
}
STREAM = "/events/stream"
"""An answer that never ends."""


def every_route() -> list[str]:
    """Each path once, its parameters filled in; the stream is left out."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    values = {name: quote(value) for name, value in VALUES.items()}
    return [path.format_map(values) for path in schema["paths"] if path != STREAM]


def make_ready(tip: int) -> None:
    """Have an endpoint say, for the time of a test, how far the chain is: an index that has that much is ready."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    EndpointState.objects.create(url="http://source", tip=tip, seen_at=tomorrow, answered_at=tomorrow)
