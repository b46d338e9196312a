"""The fast path over a chain of the older format, whose tokens are their realms."""

import pytest

from replay.recording import Recording
from tests.balances.api.fast_path_parity import HISTORY, Both, check_pages, check_whatever

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOLDER = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
FOO = "gno.land/r/demo/foo20"


@pytest.mark.parametrize(
    "url",
    [
        f"/tokens/balances?address={HOLDER}&limit=2",
        f"/tokens/{FOO}/balances?limit=2",
        f"/tokens/{FOO}/balances?address={HOLDER}",
        f"{HISTORY}?address={HOLDER}&limit=7",
    ],
)
def test_the_hot_routes_are_answered_by_the_fast_lane_page_after_page(both: Both, test5: Recording, url: str) -> None:
    check_pages(both, url)


def test_whatever_is_asked_both_answer_the_same(both: Both, test5: Recording) -> None:
    check_whatever(both)
