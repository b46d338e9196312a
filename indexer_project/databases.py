"""How PostgreSQL is reached: by URL, and by a process that serves the API and the admin."""

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
"""In a process that serves: the database of the admin, which writes. `default` is the one that the API reads."""

_HINT = "Use postgresql://user:password@host/name."
_IDLE_SECONDS = 60
"""A client that stops reading a stream keeps its snapshot, and rows that were deleted since, for so long at most."""


def database_at(env: Environment, part: str, name: str, url: str) -> dict[str, Any] | None:
    """Django's settings of the database at `url`, which is the variable `name`; None, and told, when it is wrong."""
    try:
        database = read_url(url)
    except UrlUnreadable as error:
        env.complain(part, name, f"{name} cannot be read: {error}.", _HINT)
        return None
    # What reads what others have committed meanwhile (`events.ledger_lock`) relies on PostgreSQL's own default.
    database["OPTIONS"]["isolation_level"] = IsolationLevel.READ_COMMITTED
    return database | {"ENGINE": ENGINE, "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 600}


def serve_from(database: dict[str, Any], replica: dict[str, Any] | None, timeout: float, pool_size: int) -> None:
    """Make this process one that serves: what it reads comes from `replica`, when there is one, and the admin writes.

    From here on `default` is a connection that can only read, each of its transactions in one snapshot, so that no
    query needs to know; `admin_on_primary` gives the admin the connection `primary`. No statement of either takes
    longer than `timeout` seconds. Each may have a pool of `pool_size` connections; 0: one for each thread.
    """
    limits = {
        "statement_timeout": f"{round(timeout * 1000)}ms",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
    }
    connections.settings[PRIMARY] = _session(database, limits, pool_size)
    # What the fast path prepares is planned once and not for each value: planning takes longer than reading.
    # PostgreSQL would compile what it thinks long, which takes longer than any of it does.
    reads = {"default_transaction_read_only": "on", "plan_cache_mode": "force_generic_plan", "jit": "off"}
    reading = _session(replica or database, limits | reads, pool_size)
    # Said with each BEGIN, which saves the statement that `balances.snapshot` would send for it.
    reading["OPTIONS"]["isolation_level"] = IsolationLevel.REPEATABLE_READ
    connections.settings[DEFAULT_DB_ALIAS] = reading
    connections.configure_settings(connections.settings)
    # What this thread has opened before has none of these limits.
    for opened in connections.all(initialized_only=True):
        opened.close()
        del connections[opened.alias]


def _session(database: dict[str, Any], parameters: dict[str, str], pool_size: int) -> dict[str, Any]:
    options = dict(database["OPTIONS"])
    options["session_settings"] = options["session_settings"] | parameters
    if not pool_size:
        return database | {"OPTIONS": options}
    # Only a process that serves has a pool: the others hold session locks on their connections and LISTEN on them, and
    # a pool would hand these to others. Django asks that pooled connections are not kept by a thread as well.
    # After a second without a database the next request has the pool try again; left to itself, it would wait longer
    # and longer between its attempts, and not see for minutes that the database is back.
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
    """Middleware: while the admin answers, `default` is the database that can be written."""
    if PRIMARY not in connections.settings:
        raise MiddlewareNotUsed  # `default` can be written everywhere
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
