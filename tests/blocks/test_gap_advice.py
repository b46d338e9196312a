"""Advice for heights that stay incomplete: a likely cause, and a way out."""

import pytest

from blocks.gap_advice import likely_cause

pytestmark = pytest.mark.indexer


@pytest.mark.parametrize(
    ("reason", "first", "said"),
    [
        ("no block (http://a)", 7, "was pruned, began late, or skipped"),
        ("height 7: no block (http://a)", 0, "Genesis holds mints"),
        ("the block says 3 transactions, the answer has 2 (http://a)", 7, "known fault of tx-indexers up to 0.8.0"),
        ("heights 7 to 9: the block says 3 transactions, the answer has 0", 7, "another version of gno"),
        ("it follows 'A=', and block 6 is 'B='", 7, '"The chain was reset"'),
        ("total_txs is 9, and 5 + 3 was expected", 7, '"The chain was reset"'),
        ("two endpoints disagree: http://a says hash 'A=' …", 7, "remove the wrong one"),
        ("it cannot be read: more than 16777216 bytes", 7, "makes no sense"),
        ("the transactions' indexes are not 0, 1, 2, …", 7, "makes no sense"),
        ("the database refuses it: index row size 2712 exceeds", 7, "gaps accept"),
    ],
)
def test_each_reason_has_its_likely_cause_and_a_way_out(reason: str, first: int, said: str) -> None:
    advice = likely_cause(reason, first)
    assert said in advice
    assert any(way in advice for way in ("TX_INDEXER_URLS", "gaps accept", "docs/operations.md"))


@pytest.mark.parametrize("reason", ["", "lost", "a person's own words"])
def test_nothing_is_said_of_what_is_not_known(reason: str) -> None:
    assert likely_cause(reason, 0) == ""
