"""The API over recorded chains: filled once for a module, and rolled back after it."""

from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker, Settings

from replay.recording import Recording
from tests.balances.api.asking import Api
from tests.chains import fill_database


@pytest.fixture(autouse=True)
def _static_files_are_elsewhere(settings: Settings) -> None:
    """Each test client would list every static file there is, and warn that none were collected."""
    settings.STATIC_ROOT = None
    settings.WHITENOISE_USE_FINDERS = False


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
            yield fill_database(name)
            transaction.set_rollback(True)
