"""The tables as SQL, and the migrations behind them."""

from io import StringIO

import pytest
from django.core.management import call_command

from indexer_project.management.commands.dumpschema import dump_schema
from tests.conftest import ROOT

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_schema_sql_is_what_the_migrations_make() -> None:
    assert (ROOT / "schema.sql").read_text() == dump_schema(), "run make schema"


def test_dumpschema_prints_it() -> None:
    out = StringIO()
    call_command("dumpschema", stdout=out)
    assert out.getvalue() == dump_schema()


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
