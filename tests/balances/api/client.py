"""Asking the API: all pages of a list, and the errors of a request, checked for what every answer must have."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.test import Client

Row = dict[str, Any]

LISTS = ("/tokens/balances", "/tokens/gno.land/r/demo/defi/foo20/balances", "/tokens/transfer-history")


@dataclass
class Api:
    """A client of the API that checks, of every answer, what the contract says of every answer."""

    client: Client

    def get(self, path: str, **query: Any) -> Row:
        """The body of a 200."""
        response = self.client.get(path, query)
        assert response.status_code == 200, response.content
        assert response["Content-Type"] == "application/json"
        body: Row = response.json()
        assert response["X-Indexed-Height"] == str(body["indexedHeight"])
        assert response["ETag"].startswith('W/"')
        following = body.get("next")
        assert response.get("Link") == (f'<{following}>; rel="next"' if following else None)
        return body

    def rows(self, path: str, **query: Any) -> list[Row]:
        """The rows of all pages, following `next`."""
        return [row for page in self.pages(path, **query) for row in page]

    def pages(self, path: str, **query: Any) -> Iterator[list[Row]]:
        body = self.get(path, **query)
        asked = set()
        while True:
            (rows,) = (value for value in body.values() if isinstance(value, list))
            assert len(rows) <= query.get("limit", 100)
            yield rows
            if body["next"] is None:
                return
            assert body["next"].startswith("http://testserver/")
            assert body["next"] not in asked, "pages go round in circles"
            asked.add(body["next"])
            body = self.get(body["next"])

    def problem(self, path: str, status: int, **query: Any) -> Row:
        """The body of an error, which has every key that an error has."""
        response = self.client.get(path, query)
        assert response.status_code == status, response.content
        assert response["Content-Type"] == "application/problem+json"
        body: Row = response.json()
        assert body["status"] == status
        assert body["error"] == body["detail"]
        assert {"type", "title"} <= body.keys()
        return body
