"""Pages of what follows a position: which transfers, where they end, and what they cost."""

import pytest
from pytest_django import DjangoAssertNumQueries

from balances.models import Token
from balances.queries.token_lookup import resolve
from balances.stream import pages
from balances.stream.event_ids import Position, end_of
from balances.stream.subscription import Filters
from tests.balances.ledger_factories import apply_all, put, start_chain
from tests.balances.stream.expected_events import known, wanted
from tests.events.factories import Row

pytestmark = [pytest.mark.django_db, pytest.mark.db]

SPELLED_ALIKE = (
    "gno.land/r/a",
    "gno.land/r/a.B",
    "gno.land/r/a.B.0000000",
    "gno.land/r/a.C.0000001",
    "gno.land/r/b",
    "gno.land/r/b.B.0000000",
    "gno.land/r/c.D.0000000",
    "gno.land/r/c.D.0000001",
    "odd, and\nlong",
)


@pytest.fixture
def rows() -> list[Row]:
    start_chain([(0, 40)])
    rows = [Row(height, 0, 0, "", f"g1{height % 3}", 1, path) for height, path in enumerate(SPELLED_ALIKE)]
    put(rows)
    apply_all()
    return rows


def test_a_spelling_means_what_it_means_to_the_lists(rows: list[Row]) -> None:
    texts = {text for token in Token.objects.all() for text in (token.path, token.key, token.realm)}
    found = {text: set[str]() for text in texts}
    for moved in pages.read_all(end_of(-1), texts | {"gno.land/r/unknown"}).transfers:
        for text in moved.spellings:
            found[text].add(moved.body["tokenPath"])
    assert found == {text: {token.path for token in resolve([text], "token").tokens} for text in texts}


def test_a_page_ends_where_it_is_complete(monkeypatch: pytest.MonkeyPatch, rows: list[Row]) -> None:
    monkeypatch.setattr(pages, "PAGE_ROWS", 4)
    after, ends = end_of(-1), []
    while (page := pages.read_wanted(after, Filters())).more:
        assert [moved.position.height for moved in page.transfers] == list(range(after.height + 1, after.height + 5))
        after = page.end
        ends.append(after)
    assert ends == [Position(3, 0, 0), Position(7, 0, 0)]
    assert (len(page.transfers), page.end) == (1, end_of(40))
    assert pages.read_wanted(page.end, Filters()).end == end_of(40)
    assert pages.read_wanted(end_of(99), Filters()).end == end_of(99), "a page never takes a listener back"


def test_what_is_wanted_is_of_an_account_and_of_a_token(rows: list[Row]) -> None:
    for addresses in ((), ("g10",), ("g11", "g12")):
        for tokens in ((), ("gno.land/r/c",), ("gno.land/r/a.C.0000001", "gno.land/r/c.D")):
            page = pages.read_wanted(end_of(-1), Filters(frozenset(addresses), frozenset(tokens)))
            places = ["-".join(map(str, moved.position)) for moved in page.transfers]
            assert places == wanted(known(), addresses, tokens)


def test_a_page_is_a_fixed_number_of_queries(
    rows: list[Row], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        pages.read_wanted(end_of(40), Filters())
    with django_assert_num_queries(2):
        pages.read_all(end_of(-1), ())
    with django_assert_num_queries(3):
        pages.read_all(end_of(-1), ("gno.land/r/a", "gno.land/r/c"))
