"""The way from the API to the stream of events, which another process serves (tests/balances/stream)."""

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from balances.stream.subscription import ALLOWED
from tests.balances.api.client import Api

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

STREAM = "https://stream.example.org/events/stream"


@pytest.mark.parametrize("path", ["/events/stream", "/events/stream/"])
@pytest.mark.parametrize("query", ["", "?address=g1&token=a%2Fb&lastEventId=1-2-3%400"])
def test_a_browser_is_sent_to_the_stream_with_its_question(
    client: Client, settings: Settings, path: str, query: str
) -> None:
    settings.STREAM_URL = STREAM
    response = client.get(f"{path}{query}", headers={"Accept": "text/event-stream", "Last-Event-ID": "5@0"})
    assert (response.status_code, response["Location"]) == (307, f"{STREAM}{query}")


def test_where_there_is_none_it_says_what_it_takes(api: Api, client: Client) -> None:
    assert "runstream" in api.problem("/events/stream", 404)["detail"]
    assert "STREAM_URL" in client.get("/events/stream", headers={"Accept": "text/event-stream"}).json()["detail"]


def test_the_schema_has_it_with_every_parameter_that_is_allowed(client: Client) -> None:
    schema: Any = client.get("/schema", headers={"Accept": "application/json"}).json()
    said = schema["paths"]["/events/stream"]["get"]
    assert {each["name"] for each in said["parameters"] if each["in"] == "query"} == set(ALLOWED)
    assert "text/event-stream" in said["responses"]["200"]["content"]
    assert said["responses"]["307"]["headers"].keys() == {"Location"}
