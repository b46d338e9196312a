"""What probably keeps heights incomplete, and the way out, by the reason that the synchronizer gives. Pure text."""

import re

_ANOTHER_SERVER = "Give an endpoint that has them in TX_INDEXER_URLS, or do without them: manage.py gaps accept."

_ADVICE = (
    (
        r"\bno block\b",
        "The server does not have these blocks: it was pruned, began late, or skipped what it failed to fetch (a known "
        f"fault of tx-indexers up to 0.8.0; newer ones fetch it later). {_ANOTHER_SERVER}",
    ),
    (
        r"says \d+ transactions, the answer has \d+",
        "The server shows the blocks and not all their transactions: a known fault of tx-indexers up to 0.8.0, when a "
        "fetch from their node failed, and of a server that is built for another version of gno, mostly a newer one, "
        "than the chain runs, so that it cannot decode the results. Newer tx-indexers fetch them again; an older one "
        f"has to index the chain anew. {_ANOTHER_SERVER}",
    ),
    (
        r"\bit follows\b|total_txs is \d|does not link|do not link",
        "The blocks on the two sides are not of one chain, so one side comes from a chain that was reset. See "
        '"The chain was reset" in docs/operations.md.',
    ),
    (
        r"two endpoints disagree",
        "One of the two serves another chain, or lost data: remove the wrong one from TX_INDEXER_URLS. See "
        '"The chain was reset" in docs/operations.md.',
    ),
    (
        r"the database refuses it",
        "The database cannot hold what the chain says there; the reason names the limit. Report it, and do without "
        "them until then: manage.py gaps accept.",
    ),
    (
        r"it cannot be read|indexes are not|the block's time is|two different blocks",
        "The server's answer makes no sense: it is broken, or too new for this program, or a proxy changes what it "
        f"says. {_ANOTHER_SERVER}",
    ),
)

_GENESIS = (
    " Genesis holds mints: without it balances may be negative later. A tx-indexer lacks it when it could not read it "
    "at its first start, and never tries again."
)


def likely_cause(reason: str, first_height: int) -> str:
    """The likely cause and the way out for heights from `first_height` on; "" where nothing is known of them."""
    found = next((advice for pattern, advice in _ADVICE if re.search(pattern, reason)), "")
    return found + _GENESIS if found and first_height == 0 else found
