"""Tokens of scripts (gno.land/e/…), free to make for anybody: not standard, and after all others in every list."""

from typing import Any

import pytest

from balances.api.pagination import cursors
from balances.api.params.requests import scope_of
from balances.ledger.apply import apply
from balances.models import Token
from balances.queries import account_balances, token_list
from balances.queries.filters import TokenFilters
from balances.reconciliation.correction import Correction
from balances.token_flags import is_ephemeral, listing_key, path_listed
from blocks.models import Chain
from events.parsing.derivation import Derived
from events.parsing.grc20 import Event, Movement
from tests.balances.api.client import Api
from tests.balances.api.fast_path_parity import Both, check_pages
from tests.balances.ledger_factories import messages
from tests.events.factories import CHAIN, Row

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

HOLDER = "g1jg8mtutu9khhfwc4nxmuhcpftf0pajdhfvsqf5"
SCRIPTS = [f"gno.land/e/g1spam/run.S{number}.0000000" for number in range(6)]
OTHERS = [*(f"gno.land/r/demo/a{number}.A.0000000" for number in range(5)), "a.land/r/e/x.S", "tests.gno.land/r/x"]
LISTED = [*sorted(OTHERS), *SCRIPTS]


@pytest.fixture
def _tokens() -> None:
    Chain.objects.create(chain_id=CHAIN, start_height=0, coverage=[(0, 100)], tip=100)
    paths = [*SCRIPTS, *OTHERS]
    apply(messages([Row(1, 0, n, "", HOLDER, 5, path) for n, path in enumerate(paths)]))


@pytest.mark.usefixtures("_tokens")
@pytest.mark.parametrize("scan", [4, 5000])
@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/tokens", {}),
        ("/tokens", {"search": "a"}),
        ("/tokens/balances", {}),
        ("/tokens/balances", {"address": HOLDER}),
        (f"/accounts/{HOLDER}/balances", {"include": "zero"}),
    ],
)
def test_they_come_after_all_others(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], limit: int, scan: int
) -> None:
    for module in (account_balances, token_list):
        monkeypatch.setattr(module, "SCAN", scan)
    listed = [row["tokenPath"] for row in api.rows(path, limit=limit, **query)]
    assert listed == [each for each in LISTED if query.get("search", "") in each]


@pytest.mark.usefixtures("_tokens")
def test_they_are_not_standard_and_flagged(api: Api) -> None:
    rows = {row["tokenPath"]: row for row in api.rows("/tokens")}
    assert [path for path, row in rows.items() if not row["standard"]] == SCRIPTS
    assert [path for path, row in rows.items() if "ephemeral" in row["flags"]] == SCRIPTS
    assert [row["tokenPath"] for row in api.rows("/tokens", standard="true", limit=3)] == sorted(OTHERS)
    assert [row["tokenPath"] for row in api.rows("/tokens", standard="false", limit=3)] == SCRIPTS
    (row,) = api.rows(f"/tokens/{SCRIPTS[0]}")
    assert (row["standard"], row["supply"]) == (False, 5)


@pytest.mark.usefixtures("_tokens")
def test_the_fast_lane_lists_them_so_too(both: Both) -> None:
    for query in ("limit=3", "limit=5&standard=true", ""):
        check_pages(both, f"/tokens/balances?address={HOLDER}&{query}")


@pytest.mark.usefixtures("_tokens")
def test_a_cursor_goes_on_where_it_was_whatever_is_made_meanwhile(api: Api) -> None:
    first = api.get("/tokens", limit=len(OTHERS))
    apply(messages([Row(2, 0, 0, "", HOLDER, 5, "gno.land/e/a/run.NEW.0000000")]))
    second = api.get(first["next"])
    assert [row["tokenPath"] for row in second["tokens"]] == ["gno.land/e/a/run.NEW.0000000", *SCRIPTS]
    of_an_older_version = cursors.encode((OTHERS[2],), scope_of("tokens", TokenFilters()))
    third = api.get("/tokens", cursor=of_an_older_version)
    assert third["tokens"][0]["tokenPath"] == OTHERS[3]


@pytest.mark.usefixtures("_tokens")
def test_reading_the_events_again_makes_them_so(api: Api) -> None:
    Token.objects.update(standard=True)
    correction = Correction(1, 1)
    paths = [*SCRIPTS, *OTHERS]
    correction.take([Derived(1, 0, n, Movement(path, "", HOLDER, 5, True), Event()) for n, path in enumerate(paths)])
    assert correction.make_so().standards == len(SCRIPTS)
    assert [row["tokenPath"] for row in api.rows("/tokens", standard="false")] == SCRIPTS


@pytest.mark.parametrize(
    ("path", "expected"),
    [("gno.land/e/g1a/run.S", True), ("x/e/y", True), ("gno.land/r/e/x", False), ("gno.land/r/x.a/e/b", False)],
)  # fmt: skip
def test_the_database_and_python_order_alike(path: str, expected: bool) -> None:
    assert is_ephemeral(path) is expected
    made: Any = Token.objects.create(path=path, key=path, realm=path, standard=False)
    assert made.listing_key == listing_key(path)
    assert path_listed(made.listing_key) == path
