"""The least that answering a balance costs: a bare WSGI application with the API's own SQL, dumping its JSON by hand.

It checks nothing, and knows neither errors nor content negotiation nor conditional requests.
"""

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import django
import psycopg

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "indexer_project.settings")
django.setup()  # for the SQL: nothing else of Django is used

from balances.api import fast_path  # noqa: E402  # Django must be set up first
from balances.queries import account_balances  # noqa: E402
from balances.queries.filters import BalanceFilters  # noqa: E402
from balances.queries.page import PageRequest  # noqa: E402

_sql, _ = next(account_balances.held_of_tokens.steps(BalanceFilters(addresses=("",), tokens=("",)), PageRequest(100)))
_SQL = fast_path.together(_sql)
_local = threading.local()


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/health":
        start_response("200 OK", [])
        return [b""]
    path = environ["PATH_INFO"].removeprefix("/tokens/").removesuffix("/balances")
    address = parse_qs(environ["QUERY_STRING"])["address"][0]
    ((indexed_height, _, *row),) = _cursor().execute(_SQL, {"text": path, "addresses": [address]})
    indexed_height = json.loads(indexed_height)
    height = indexed_height["contiguous"]
    body = {
        "accountBalances": [{"address": address, "tokenPath": row[3], "amount": int(row[-1]), "flags": []}],
        "next": None,
        "chainId": indexed_height["chain_id"],
        "indexedHeight": height,
        "includesUpTo": height,
        "acceptedGaps": indexed_height["accepted"],
        "firstHeight": indexed_height["first_height"],
    }
    content = json.dumps(body, separators=(",", ":")).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def _cursor() -> psycopg.Cursor[Any]:
    if not hasattr(_local, "cursor"):
        connection = psycopg.connect(
            os.environ["DATABASE_URL"],
            autocommit=True,
            prepare_threshold=0,
            options="-c plan_cache_mode=force_generic_plan",
        )
        _local.cursor = connection.cursor()
    cursor: psycopg.Cursor[Any] = _local.cursor
    return cursor
