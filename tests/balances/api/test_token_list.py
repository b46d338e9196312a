"""What is said of tokens: metadata, numbers, where they were seen first; and how they are found."""

from urllib.parse import quote

import pytest

from balances.models import Token
from balances.queries import token_list
from replay.recording import Recording
from tests.balances.api.client import Api, Row
from tests.balances.api.oracle_comparison import expected

pytestmark = [pytest.mark.django_db, pytest.mark.db, pytest.mark.api]

FOO = "gno.land/r/demo/defi/foo20.FOO.0000000"
FACTORY = "gno.land/r/demo/defi/grc20factory"


@pytest.fixture
def listed(gnotest: Recording, api: Api) -> dict[str, Row]:
    rows = api.rows("/tokens", limit=3)
    assert [row["tokenPath"] for row in rows] == sorted(Token.objects.values_list("path", flat=True))
    return {row["tokenPath"]: row for row in rows}


def test_numbers_are_those_of_the_transfers_and_balances(listed: dict[str, Row], api: Api) -> None:
    pairs, supplies = expected("gnotest-1")
    history = api.rows("/tokens/transfer-history", limit=1000)
    for path, row in listed.items():
        moved = [each for each in history if each["tokenPath"] == path]
        amounts = {
            kind: sum(each["amount"] for each in moved if each["type"] == kind) for kind in ("mint", "burn", "transfer")
        }
        assert (row["minted"], row["burned"], row["transfers"]) == (amounts["mint"], amounts["burn"], len(moved))
        assert row["supply"] == row["minted"] - row["burned"]
        if path in supplies:  # the chain itself says them
            assert row["supply"] == supplies[path]
            assert row["holders"] == sum(amount > 0 for (token, _), amount in pairs.items() if token == path)
    assert supplies.keys() <= listed.keys()


def test_a_token_was_first_seen_in_its_first_event(listed: dict[str, Row], gnotest: Recording) -> None:
    first: dict[str, tuple[int, str]] = {}
    for transaction in sorted(gnotest.transactions, key=lambda row: (row["block_height"], row["index"])):
        if not transaction["success"]:
            continue
        for event in transaction["response"]["events"]:
            attributes = {each["key"]: each["value"] for each in event.get("attrs") or []}
            if event.get("pkg_path") == "gno.land/p/demo/tokens/grc20" and "token" in attributes:
                first.setdefault(attributes["token"], (transaction["block_height"], transaction["hash"]))
    library = [path for path, row in listed.items() if row["standard"]]
    assert len(library) > 5
    for path in library:
        assert (listed[path]["firstSeenHeight"], listed[path]["firstSeenTxHash"]) == first[path], path


@pytest.mark.parametrize(
    "search", ["FOO", "foo", "fOo2", "grc20FACTORY", "%", "_", "\\", "<", "nothing of the kind", ""]
)
@pytest.mark.parametrize("scan", [4, 5000])
def test_tokens_are_found_by_any_part_of_name_symbol_or_path(
    listed: dict[str, Row], api: Api, monkeypatch: pytest.MonkeyPatch, search: str, scan: int
) -> None:
    monkeypatch.setattr(token_list, "SCAN", scan)
    found = [
        row
        for row in listed.values()
        if any(search.lower() in row[member].lower() for member in ("tokenPath", "name", "symbol"))
    ]
    assert api.rows("/tokens", search=search, limit=2) == found
    for standard in ("true", "false"):
        some = [row for row in found if row["standard"] == (standard == "true")]
        assert api.rows("/tokens", search=search, standard=standard, limit=2) == some


def test_what_cannot_be_searched_for_is_refused(api: Api) -> None:
    for search in ("x" * 101, "a\x00b"):
        assert api.problem("/tokens", 400, search=search)["parameter"] == "search"


@pytest.mark.parametrize("slash", ["", "/"])
def test_one_token_by_any_spelling(listed: dict[str, Row], api: Api, slash: str) -> None:
    for spelling in (FOO, quote(FOO, safe=""), "gno.land/r/demo/defi/foo20.FOO", "gno.land/r/demo/defi/foo20"):
        assert api.get(f"/tokens/{spelling}{slash}")["tokens"] == [listed[FOO]]
    of_realm = [row for path, row in listed.items() if path.startswith(f"{FACTORY}.")]
    assert len(of_realm) > 2
    assert api.rows(f"/tokens/{FACTORY}{slash}", limit=2) == of_realm
    assert api.get(f"/tokens/gno.land/r/nobody/nothing{slash}")["tokens"] == []


def test_its_transfers_are_those_of_the_history(gnotest: Recording, api: Api) -> None:
    for token in (FOO, FACTORY):
        rows = api.rows("/tokens/transfer-history", token=token)
        assert api.rows(f"/tokens/{token}/transfers", limit=17) == rows
        busy = rows[0]["toAddress"] or rows[0]["fromAddress"]
        query = {"address": busy, "direction": "out", "order": "asc"}
        assert api.rows(f"/tokens/{token}/transfers", limit=3, **query) == api.rows(
            "/tokens/transfer-history", token=token, **query
        )


@pytest.mark.parametrize("path", ["/tokens/%20", "/tokens/a%00b/holders", "/tokens/a b/transfers", "/tokens/x%0A"])
def test_a_malformed_token_is_refused_by_name(api: Api, path: str) -> None:
    assert api.problem(path, 400)["parameter"] == "tokenPath"


def test_a_token_that_only_announced_itself_is_there(listed: dict[str, Row]) -> None:
    (row,) = (row for path, row in listed.items() if ".EMPTY." in path)
    assert (row["supply"], row["holders"], row["transfers"]) == (0, 0, 0)
    assert row["firstSeenHeight"] > 0
    assert row["firstSeenTxHash"]
