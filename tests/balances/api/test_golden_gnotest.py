"""Every route's answer for the recorded chain gnotest-1, byte for byte as before."""

import pytest
from django.test import Client

from replay.recording import Recording
from tests.balances.api import golden_answers

pytestmark = [pytest.mark.db, pytest.mark.django_db, pytest.mark.api]


def test_every_answer_is_the_golden_one(gnotest: Recording, client: Client) -> None:
    golden_answers.check(client, "gnotest-1")
