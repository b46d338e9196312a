"""The API over recorded chains: filled once for a module, and rolled back after it."""

from collections.abc import Iterator

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, transaction
from django.test import Client
from django.urls import set_script_prefix
from pytest_django import DjangoDbBlocker

from replay.recording import Recording
from tests.balances.api.client import Api
from tests.balances.api.fast_path_parity import Both
from tests.chains import fill_database


@pytest.fixture
def api(client: Client) -> Api:
    return Api(client)


@pytest.fixture(scope="module")
def gnotest(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Recording]:
    """Today's format, whole."""
    yield from _filled("gnotest-1", django_db_blocker)


@pytest.fixture(scope="module")
def test5(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Recording]:
    """The older format, whole."""
    yield from _filled("test5-1", django_db_blocker)


def _filled(name: str, blocker: DjangoDbBlocker) -> Iterator[Recording]:
    with blocker.unblock():
        around = transaction.atomic()
        around._from_testcase = True  # type: ignore[attr-defined]  # as Django's TestCase does: durable blocks may nest
        with around:
            with connection.cursor() as cursor:  # so that ids, which are part of some cursors, are the same in each run
                cursor.execute("ALTER SEQUENCE accounts_id_seq RESTART; ALTER SEQUENCE tokens_id_seq RESTART")
            yield fill_database(name)
            transaction.set_rollback(True)


@pytest.fixture
def both() -> Iterator[Both]:
    """Both ways through the API; as with Django's test client, the end of a request does not end the transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield Both()
    set_script_prefix("/")
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)
