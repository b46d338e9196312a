"""The audit: for every token, sum of balances = minted − burned = sum over its transfers; and what else must hold.

Read in one snapshot, so that it may run while everything else does.
"""

from dataclasses import dataclass

from django.db import connection

from balances.indexed_height import IndexedHeight, read_indexed_height
from balances.reconciliation import expected_sums
from blocks import gaps
from postgres.snapshot import one_snapshot

SHOWN = 1_000
"""So many breaks of one kind are given; the first that are found."""

# Each column pair of sums.TOTALS that may differ, one row each.
_TOTALS = f"""
SELECT tokens.path, kind, kept, added_up FROM ({expected_sums.TOTALS.format(tokens="true")}) AS found
CROSS JOIN LATERAL (VALUES
    ('supply', held, minted - burned), ('minted', minted, right_minted), ('burned', burned, right_burned),
    ('transfers', transfers, right_transfers), ('holders', holders, right_holders)
) AS pairs (kind, kept, added_up)
LEFT JOIN tokens ON tokens.id = found.token_id
WHERE NOT ({expected_sums.MINTED_LESS_BURNED_IS_HELD} AND {expected_sums.TOTALS_AGREE}) AND kept <> added_up
ORDER BY tokens.path, kind LIMIT {SHOWN}
"""  # noqa: S608  # our own constants

_BALANCES = f"""
SELECT tokens.path, accounts.address, kind, kept, added_up
FROM ({expected_sums.BALANCES.format(tokens="true")}) AS found
CROSS JOIN LATERAL (VALUES
    ('balance', amount, right_amount), ('movements', transfers, right_transfers)
) AS pairs (kind, kept, added_up)
LEFT JOIN tokens ON tokens.id = token_id LEFT JOIN accounts ON accounts.id = account_id
WHERE kept <> added_up ORDER BY tokens.path, accounts.address, kind LIMIT {SHOWN}
"""  # noqa: S608  # our own constants

# What was applied beyond the indexed height is taken off again: there, the incoming half may be the one that waits.
_LATER = "block_height > %(indexed)s"
# Those that count first: anybody can make any number of the others.
_NEGATIVE = f"""
SELECT tokens.path, accounts.address, held.amount - later.amount AS amount, standard, tokens.path = realm AS by_realm
FROM balances AS held JOIN tokens ON tokens.id = held.token_id JOIN accounts ON accounts.id = held.account_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0) AS amount FROM (
        SELECT amount FROM transfers
        WHERE {_LATER} AND to_account_id = held.account_id AND token_id = held.token_id
        UNION ALL
        SELECT -amount FROM transfers
        WHERE {_LATER} AND from_account_id = held.account_id AND token_id = held.token_id
    ) AS sides
) AS later
WHERE held.amount < 0 AND held.amount < later.amount
ORDER BY standard DESC, by_realm, tokens.path, accounts.address LIMIT {SHOWN}
"""  # noqa: S608  # our own constants

_CHECKPOINTS = f"""
SELECT tokens.path, accounts.address, balance, right_balance
FROM ({expected_sums.CHECKPOINTS}) AS found
LEFT JOIN tokens ON tokens.id = token_id LEFT JOIN accounts ON accounts.id = account_id
ORDER BY tokens.path, accounts.address, block_height LIMIT {SHOWN}
"""  # noqa: S608  # our own constants

_COUNTS = """
SELECT (SELECT count(*) FROM tokens), (SELECT count(*) FROM balances),
       (SELECT coalesce(sum(transfers), 0) FROM token_totals)
"""


@dataclass(frozen=True, slots=True)
class Break:
    """Two numbers that should be one. `address` is empty where it is about the token as a whole. Raw units.

    `kind`: supply (sum of balances against minted − burned), minted, burned, transfers, holders (kept against added
    up), negative (at the indexed height, against 0), balance and movements (sum and number of its transfers, kept
    against added up), checkpoint (balance at an earlier height, kept against added up; without an address: the supply
    with a minus), chain (blocks that do not link, described in `detail`; no token, no numbers).

    Only of negatives it is told what token it is. `standard`: stamped by the chain's GRC20 library, or of a chain that
    has none. `by_realm`: its realm stamps its events itself, so it may contradict itself.
    """

    kind: str
    token: str
    address: str
    found: int
    expected: int
    standard: bool = True
    by_realm: bool = False
    detail: str = ""

    def is_failure(self, *, realms_may_lie: bool) -> bool:
        """Whether the ledger is wrong, and not what a realm emits of a token of its own.

        A token that is not standard never makes it wrong: anybody can emit a burn from an address that was never
        credited. Nor, with `realms_may_lie`, does a standard one of a chain where every realm stamps its own events.
        """
        return self.kind != "negative" or (self.standard and not (self.by_realm and realms_may_lie))


@dataclass(frozen=True, slots=True)
class Audit:
    """`breaks` is empty when all is well; `SHOWN` of a kind at most. What was looked at: `tokens`, `balances`, …"""

    breaks: list[Break]
    indexed_height: IndexedHeight
    tokens: int
    balances: int
    transfers: int
    deep: bool


def _chain_breaks(indexed_height: IndexedHeight) -> list[str]:
    """What is stored and does not link, in words: as recorded, and the two sides of every gap."""
    recorded = [indexed_height.conflict] if indexed_height.conflict_stored else []
    return list(dict.fromkeys([*recorded, *(each.reason for each in gaps.side_conflicts())]))


def audit(*, deep: bool) -> Audit:
    """Look through every token; with `deep`, every balance too, against the sum of its transfers."""
    with one_snapshot(), connection.cursor() as cursor:
        indexed_height = read_indexed_height()
        breaks = [Break("chain", "", "", 0, 0, detail=text) for text in _chain_breaks(indexed_height)]
        cursor.execute(_TOTALS)
        for path, kind, kept, added_up in cursor.fetchall():
            breaks.append(Break(kind, path or "", "", int(kept), int(added_up)))
        cursor.execute(_NEGATIVE, {"indexed": indexed_height.height})
        for path, address, amount, standard, by_realm in cursor.fetchall():
            breaks.append(Break("negative", path, address, int(amount), 0, standard, by_realm))
        if deep:
            cursor.execute(_BALANCES)
            for path, address, kind, kept, right in cursor.fetchall():
                breaks.append(Break(kind, path or "", address or "", int(kept), int(right)))
            cursor.execute(_CHECKPOINTS)
            for path, address, kept, right in cursor.fetchall():
                breaks.append(Break("checkpoint", path or "", address or "", int(kept or 0), int(right or 0)))
        cursor.execute(_COUNTS)
        tokens, balances, transfers = cursor.fetchone()
    return Audit(breaks, indexed_height, tokens, balances, int(transfers), deep)
