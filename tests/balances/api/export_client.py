"""Asking for whole lists, and leaving before their end."""

import json
from collections.abc import Iterator
from typing import Any, cast

from django.core.signals import request_finished
from django.db import close_old_connections
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.test import Client

from tests.balances.api.client import Row

HISTORY = "/tokens/transfer-history"


def start(client: Client, encoding: str = "identity", **query: Any) -> StreamingHttpResponse:
    """Ask for the whole history."""
    response = client.get(HISTORY, {"format": "ndjson", **query}, headers={"Accept-Encoding": encoding})
    assert response.status_code == 200
    assert response.streaming
    return cast(StreamingHttpResponse, response)


def parts_of(response: StreamingHttpResponse) -> Iterator[bytes]:
    return iter(response.streaming_content)  # type: ignore[arg-type]  # it is no asynchronous one


def leave(response: HttpResponseBase) -> None:
    """Close the connection, as a server tells Django; its own connection to the database stays the test's."""
    request_finished.disconnect(close_old_connections)
    response.close()
    request_finished.connect(close_old_connections)


def rows_of(text: bytes) -> list[Row]:
    return [json.loads(line) for line in text.splitlines()]
