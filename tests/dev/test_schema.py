"""The tables as SQL, and the migrations behind them."""

import os

import pytest
from django.core.management import call_command

from dev.schema import dump_schema
from tests.conftest import ROOT

pytestmark = [pytest.mark.db, pytest.mark.django_db]


def test_schema_sql_is_what_the_migrations_make() -> None:
    if os.environ.get("WRITE_SCHEMA"):
        (ROOT / "schema.sql").write_text(dump_schema())
    assert (ROOT / "schema.sql").read_text() == dump_schema(), "run make schema"


def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
