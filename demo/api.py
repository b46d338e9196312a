"""The Balance API as a stranger's client would read it: by HTTP, page after page."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import urllib3


class Api:
    """A reader of one server. Raises `urllib3.exceptions.HTTPError`, and `ValueError` for what is no answer."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._pool = urllib3.PoolManager(retries=urllib3.Retry(total=0), timeout=30)

    def get(self, url: str) -> dict[str, Any]:
        answer = self._pool.request("GET", url, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}: {answer.data[:300]!r}")
        body: dict[str, Any] = json.loads(answer.data)
        return body

    def indexed_height(self) -> int:
        """The height up to which everything is in; −2 while the server does not answer."""
        try:
            return int(self.get(f"{self._base}/tokens/balances?limit=1")["indexedHeight"])
        except (urllib3.exceptions.HTTPError, ValueError, KeyError):
            return -2

    def supplies(self) -> dict[str, int]:
        """Every token with the sum over all accounts, zero too."""
        rows = self._pages(f"{self._base}/tokens/balances", "balances", include="zero")
        return {row["tokenPath"]: row["amount"] for row in rows}

    def holders(self, token: str) -> dict[str, int]:
        """Every holder of `token`, by its id, with the amount."""
        rows = self._pages(f"{self._base}/tokens/{quote(token, safe='')}/balances", "accountBalances")
        return {row["address"]: row["amount"] for row in rows if row["tokenPath"] == token}

    def held_by(self, address: str) -> dict[str, int]:
        """What `address` holds, by token."""
        rows = self._pages(f"{self._base}/tokens/balances", "balances", address=address)
        return {row["tokenPath"]: row["amount"] for row in rows}

    def _pages(self, url: str, key: str, **parameters: str) -> Iterator[dict[str, Any]]:
        following: str | None = f"{url}?{urlencode({**parameters, 'limit': '100'})}"
        while following:
            page = self.get(following)
            yield from page[key]
            following = page["next"]
