"""ETag and 304: what a client has is told from what has changed, and the large tables are not touched for it."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from balances.models import Announcement
from blocks.models import Chain
from tests.balances.api.client import LISTS
from tests.balances.api.export_client import leave
from tests.balances.api.routes import every_route
from tests.chains import apply_pending, fill_database, store_heights

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]


def etag(client: Client, path: str = LISTS[0], accept: str = "application/json") -> str:
    return client.get(path, headers={"Accept": accept})["ETag"]


@pytest.mark.parametrize("path", LISTS)
def test_what_a_client_has_is_not_sent_again(client: Client, path: str) -> None:
    fill_database("gnotest-1", last=100)
    have = etag(client, path)
    for known in (have, have.removeprefix("W/"), f'"other", {have}', "*"):
        with CaptureQueriesContext(connection) as captured:
            response = client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert (response["ETag"], response["X-Indexed-Height"]) == (have, "100")
        assert "Accept" in response["Vary"]
        assert len(captured) == 1
        for query in captured.captured_queries:
            assert not any(table in query["sql"] for table in ("transfers", "balances", "blocks", "transactions"))
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_what_a_client_has_costs_no_transaction(client: Client) -> None:
    fill_database("gnotest-1", last=20)
    for path in (*LISTS, "/accounts/g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5", "/tokens?format=csv"):
        response = client.get(path)
        have = response["ETag"]
        leave(response)
        with CaptureQueriesContext(connection) as captured:
            assert client.get(path, headers={"If-None-Match": have}).status_code == 304
        (query,) = captured.captured_queries
        assert query["sql"].lstrip().startswith("SELECT"), "no BEGIN, and no SET"


def test_every_answer_says_whether_it_may_be_kept(client: Client) -> None:
    fill_database("gnotest-1")
    for path in every_route():
        kept = "no-store" if path in ("/health", "/status", "/ready") else "no-cache"
        assert client.get(path)["Cache-Control"] == kept, path
        assert (
            client.get(path, {"limit": "x"} if kept == "no-cache" else {"format": "x"})["Cache-Control"] == "no-store"
        )
    for path in ("/schema", "/docs"):
        assert set(client.get(path)["Cache-Control"].split(", ")) == {"max-age=300", "public"}
    assert client.get("/nothing")["Cache-Control"] == "no-store"


def test_a_malformed_request_is_refused_whatever_the_client_has(client: Client) -> None:
    assert client.get("/tokens/balances?limit=0", headers={"If-None-Match": "*"}).status_code == 400


def test_a_page_for_people_is_another_thing_than_json(client: Client) -> None:
    fill_database("gnotest-1", last=100)
    page = etag(client, accept="text/html")
    assert page != etag(client)
    assert client.get(LISTS[0], headers={"Accept": "application/json", "If-None-Match": page}).status_code == 200
    assert client.get(LISTS[0], headers={"Accept": "text/html", "If-None-Match": page}).status_code == 304


@pytest.mark.django_db(transaction=True)
def test_every_step_of_the_index_is_another_version(client: Client) -> None:
    recording = fill_database("gnotest-1", last=100)
    seen = [etag(client)]
    store_heights(recording, 101, 150)
    seen.append(etag(client))
    apply_pending()
    seen.append(etag(client))
    store_heights(recording, 201, 300)
    seen.append(etag(client))
    apply_pending()
    seen.append(etag(client))
    store_heights(recording, 151, 200)
    apply_pending()
    seen.append(etag(client))
    assert len(set(seen)) == len(seen)


def test_another_start_or_the_same_heights_applied_again_are_another_version(client: Client) -> None:
    recording = fill_database("gnotest-1")
    seen = [etag(client)]
    store_heights(recording, 100, 200)
    apply_pending()
    seen.append(etag(client))
    Chain.objects.update(start_height=5)
    seen.append(etag(client))
    Chain.objects.update(first_block_hash="of another chain")
    seen.append(etag(client))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox SET applied_at = %s WHERE id = 1", [datetime(2100, 1, 1, tzinfo=UTC)])
        cursor.execute("UPDATE outbox SET applied_at = %s", [datetime(2100, 1, 1, tzinfo=UTC)])
    seen.append(etag(client))
    assert len(set(seen)) == len(seen)


@pytest.mark.django_db(transaction=True)
def test_any_commit_is_another_version_while_the_outbox_cannot_tell(client: Client) -> None:
    fill_database("gnotest-1", last=50)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM outbox")
    before = etag(client)
    assert etag(client) == before, "nothing was committed"
    Announcement.objects.all().delete()
    assert etag(client) != before
