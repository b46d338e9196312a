"""Checkpoints are made by `manage.py processevents`, and `manage.py checkpoints` tells of them."""

import random
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from balances.models import CheckpointWalk
from tests.balances.history_factories import walk, zipf_rows
from tests.balances.ledger_factories import put, start_chain
from tests.conftest import database_url
from tests.indexer_project.test_commands import manage

pytestmark = [pytest.mark.db, pytest.mark.django_db(transaction=True)]


def checkpoints(*arguments: str) -> str:
    out = StringIO()
    call_command("checkpoints", *arguments, stdout=out)
    return out.getvalue().strip()


def test_a_processor_leaves_nothing_to_walk_and_what_is_forgotten_is_made_anew() -> None:
    assert checkpoints() == "Checkpoints are made up to height -1 of -1."
    start_chain([(0, 30)])
    put(zipf_rows(random.Random(1), 0, 30))
    result = manage("processevents", "--until-applied", DATABASE_URL=database_url())
    assert result.returncode == 0, result.stderr
    assert checkpoints() == "Checkpoints are made up to height 30 of 30."
    assert checkpoints("--forget-from", "12").startswith("Checkpoints are made up to height 11 of 30, and some")
    walk()
    assert checkpoints() == "Checkpoints are made up to height 30 of 30."
    assert not CheckpointWalk.objects.get().stale
    with pytest.raises(CommandError, match="no height"):
        checkpoints("--forget-from", "-1")
