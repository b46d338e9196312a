"""A stream over the beginning of a recorded chain, which goes on while it is listened to."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.balances.stream.stream_server import Server, serving
from tests.chains import fill_database

START = 25


@pytest.fixture
def server() -> Iterator[Server]:
    """Over heights 0 to `START` of today's format."""
    fill_database("gnotest-1", last=START)
    with serving() as running:
        yield running


@pytest.fixture(autouse=True)
def _static_files_are_elsewhere(settings: Settings) -> None:
    settings.STATIC_ROOT = None
    settings.WHITENOISE_USE_FINDERS = False
