"""The recorded chains, read once."""

import pytest

from replay.recording import Recording
from tests.conftest import recorded


@pytest.fixture(scope="session")
def gnotest() -> Recording:
    return recorded("gnotest-1")


@pytest.fixture(scope="session")
def test5() -> Recording:
    return recorded("test5-1")


@pytest.fixture(scope="session")
def short(test5: Recording) -> Recording:
    """The first 60 blocks of test5-1: enough for most faults, and fast."""
    return test5.truncated(60)
