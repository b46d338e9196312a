"""What a process needs of its database, looked at when it starts, each refused in one line with the way out.

That the server is new enough, and its encoding holds every character, is looked at with each connection
(`postgres.backend`), so it is no part of this.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import NamedTuple

from django.apps import apps
from django.core.management.base import CommandError
from django.db import Error, ProgrammingError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder

from postgres.backend.base import DatabaseUnfit
from postgres.pooling import STATEMENT_POOLING, require_session

OWN_APPS = ("blocks", "events", "balances")

READ = ("SELECT",)
WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")

_PLACE = """
SELECT current_schema(), current_setting('search_path'), current_user, current_database(),
       has_schema_privilege(current_schema(), 'CREATE'), has_database_privilege(current_database(), 'TEMPORARY')
"""

_LACKING = """
SELECT privilege, string_agg(name, ', ' ORDER BY name)
FROM unnest(%s::text[]) AS name, unnest(%s::text[]) AS privilege
WHERE NOT has_table_privilege(to_regclass(quote_ident(name)), privilege) GROUP BY privilege ORDER BY privilege
"""


class DatabaseRefused(CommandError):
    """The database answers and cannot be worked with; the message says why in a line, and the way out."""


class _Place(NamedTuple):
    schema: str
    search_path: str
    role: str
    database: str
    may_create: bool
    may_stage: bool


def check_database(privileges: tuple[str, ...] = READ, *, session: bool = False) -> None:
    """Look at the database that this process is connected to, or connects to now.

    `privileges`: what it needs on the product's tables, `READ` or `WRITE`. `session`: it keeps locks or listens between
    transactions, which no pooler in transaction mode lets it. Raises `DatabaseRefused`, `TransactionPooling`, and
    Django's `OperationalError` where the database does not answer.
    """
    place = _place()
    if session:
        require_session()
    missing = _compare_migrations(place)
    if missing:
        raise DatabaseRefused(
            f"The schema {place.schema} lacks {_some(missing)}: run manage.py migrate. (If the tables are elsewhere, "
            f"the role {place.role} needs USAGE on their schema, and search_path, now {place.search_path}, its name.)"
        )
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, [_tables(), list(privileges)])
        lacking = cursor.fetchone()
    if lacking is not None:
        raise DatabaseRefused(
            f"The role {place.role} may not {lacking[0]} in {lacking[1]}: GRANT it, or use another role."
        )
    if privileges == WRITE and not place.may_stage:
        raise DatabaseRefused(
            f"The role {place.role} may not make temporary tables: GRANT TEMPORARY ON DATABASE {place.database}."
        )


def check_migratable() -> None:
    """What `migrate` needs. Raises as `check_database` does."""
    place = _place()
    if _compare_migrations(place) and not place.may_create:
        raise DatabaseRefused(
            f"The role {place.role} may not make tables in the schema {place.schema}: GRANT CREATE ON SCHEMA, or name "
            "another one in DATABASE_URL, as …?options=-csearch_path%3Dname."
        )


def _place() -> _Place:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_PLACE)
            place = _Place(*cursor.fetchone())
    except DatabaseUnfit as unfit:
        raise DatabaseRefused(str(unfit)) from None
    except Error as error:
        if STATEMENT_POOLING not in str(error):
            raise
        raise DatabaseRefused(
            "DATABASE_URL leads to a pooler in statement mode, in which no transaction can be begun: use another mode."
        ) from None
    if place.schema is None:
        raise DatabaseRefused(
            f"No schema of search_path ({place.search_path}) is there, or the role {place.role} may use none: CREATE "
            "SCHEMA, GRANT USAGE ON SCHEMA, or name another one in DATABASE_URL, as …?options=-csearch_path%3Dname."
        )
    return place


def _compare_migrations(place: _Place) -> set[tuple[str, str]]:
    """The migrations that the database lacks. Raises `DatabaseRefused` where it has newer ones than this program."""
    known = {(config.label, name) for config in apps.get_app_configs() for name in _migrations(config.name)}
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    except ProgrammingError:
        raise DatabaseRefused(
            f"The role {place.role} may not read the schema {place.schema}: GRANT SELECT on it."
        ) from None
    newest = {app: max((name for of, name in known if of == app), default="") for app in OWN_APPS}
    newer = {(app, name) for app, name in applied - known if app in newest and name > newest[app]}
    if newer:
        raise DatabaseRefused(
            f"The database was migrated by a newer version of this program, which has {_some(newer)}: run that version."
        )
    return known - applied


def _migrations(app: str) -> Iterator[str]:
    if find_spec(f"{app}.migrations") is not None:
        for module in iter_modules(import_module(f"{app}.migrations").__path__):
            if module.name[0] not in "_~":
                yield module.name


def _tables() -> list[str]:
    return [model._meta.db_table for app in OWN_APPS for model in apps.get_app_config(app).get_models()]


def _some(migrations: set[tuple[str, str]]) -> str:
    first = ", ".join(f"{app}.{name}" for app, name in sorted(migrations)[:3])
    return first if len(migrations) <= 3 else f"{first} and {len(migrations) - 3} more migrations"
