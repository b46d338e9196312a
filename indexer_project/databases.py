"""Database settings from URLs, and the two database aliases of a process that serves the API and the admin.

There is no database router: a router sees the model and not the request, and the admin reads on the primary the same
models that the API reads on the replica. Most reads of the API are SQL on `django.db.connection`, in functions that the
stream and the workers call too, on their only database.
"""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import MiddlewareNotUsed
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from indexer_project.database_urls import UrlUnreadable, read_url
from indexer_project.environment import Environment
from postgres.sessions import SessionConnection

ENGINE = "postgres.backend"

PRIMARY = "primary"
"""In a serving process: alias of the writable database, for the admin. The API reads from `default`."""

_HINT = "Use postgresql://user:password@host/name."
_IDLE_SECONDS = 60
"""Longest time for which an export that the client has stopped reading keeps its snapshot open."""


def database_at(env: Environment, part: str, name: str, url: str) -> dict[str, Any] | None:
    """Return Django's settings for the database at `url`.

    `name`: the variable with the URL. An invalid one is reported to `env`, and None returned.
    """
    try:
        database = read_url(url)
    except UrlUnreadable as error:
        env.complain(part, name, f"{name} cannot be read: {error}.", _HINT)
        return None
    # `events.ledger_lock` must see what others have committed since the transaction began.
    database["OPTIONS"]["isolation_level"] = IsolationLevel.READ_COMMITTED
    return database | {"ENGINE": ENGINE, "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 600}


def serve_from(database: dict[str, Any], replica: dict[str, Any] | None, timeout: float, pool_size: int) -> None:
    """Set the aliases of a serving process: `default` reads from `replica`, if any, and `primary` writes.

    `default` becomes read-only, each transaction in one snapshot; `admin_on_primary` switches the admin to `primary`.
    `timeout`: limit of each statement in seconds. `pool_size`: connections of each alias; 0: one for each thread.
    """
    limits = {
        "statement_timeout": f"{round(timeout * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
    }
    connections.settings[PRIMARY] = _session(database, limits, pool_size)
    # Planning takes longer than reading, so that prepared statements are planned once and not for each value. JIT
    # compilation takes longer than any query of the API.
    reads = {"default_transaction_read_only": "on", "plan_cache_mode": "force_generic_plan", "jit": "off"}
    reading = _session(replica or database, limits | reads, pool_size)
    # Part of each BEGIN, which saves `postgres.snapshot` a statement.
    reading["OPTIONS"]["isolation_level"] = IsolationLevel.REPEATABLE_READ
    connections.settings[DEFAULT_DB_ALIAS] = reading
    connections.configure_settings(connections.settings)
    # Connections that this thread opened before have none of these limits.
    for opened in connections.all(initialized_only=True):
        opened.close()
        del connections[opened.alias]


def _session(database: dict[str, Any], parameters: dict[str, str], pool_size: int) -> dict[str, Any]:
    options = dict(database["OPTIONS"])
    options["session_settings"] = options["session_settings"] | parameters
    if not pool_size:
        return database | {"OPTIONS": options}
    # Only serving processes have a pool: the others hold session locks and LISTEN on their connections. Django requires
    # CONN_MAX_AGE=0 with a pool. By default the pool backs off for minutes after a failed connection; here it stops
    # after a second, and the next request tries again.
    options["pool"] = {
        "connection_class": SessionConnection,
        "min_size": 1,
        "max_size": pool_size,
        "timeout": 5,
        "reconnect_timeout": 1,
    }
    return database | {"OPTIONS": options, "CONN_MAX_AGE": 0}


def admin_on_primary(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: use the primary as `default` during admin requests."""
    if PRIMARY not in connections.settings:
        raise MiddlewareNotUsed  # not a serving process: `default` is writable
    admin = reverse("admin:index")

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if not request.path_info.startswith(admin):
            return get_response(request)
        reading = connections[DEFAULT_DB_ALIAS]
        connections[DEFAULT_DB_ALIAS] = connections[PRIMARY]
        try:
            return get_response(request)
        finally:
            connections[DEFAULT_DB_ALIAS] = reading

    return middleware
