"""Making balances and totals the sums of their transfers again, while transfers go on being applied.

What is wrong is found without a lock, as differences: applying adds to transfers and to sums alike, so a difference
stays what it was in the snapshot in which it was found, until it is added here. Hand-written SQL lives here.
"""

from collections.abc import Collection

from django.db import connection, transaction

from balances.ledger.deltas import ADDED_TO_TOTALS, CHANGED_BALANCES, FORGET_BALANCES, MORE_HOLDERS
from balances.reconciliation import expected_sums
from events import ledger_lock

_FIND_BALANCES = """
DROP TABLE IF EXISTS pg_temp.wrong_balances;
CREATE TEMPORARY TABLE wrong_balances AS
SELECT token_id, account_id, right_amount - amount AS amount, right_transfers - transfers AS transfers
FROM ({found}) AS found
"""

_FIND_TOTALS = """
DROP TABLE IF EXISTS pg_temp.wrong_totals;
CREATE TEMPORARY TABLE wrong_totals AS
SELECT token_id, right_minted - minted AS minted, right_burned - burned AS burned,
       right_transfers - transfers AS transfers, right_holders - holders AS holders
FROM ({found}) AS found WHERE NOT {agree}
"""

_BALANCES = f"""
WITH changed AS ({CHANGED_BALANCES.format(changes="wrong_balances")})
UPDATE token_totals AS totals SET holders = totals.holders + more.holders
FROM ({MORE_HOLDERS.format(changes="wrong_balances")}) AS more WHERE more.token_id = totals.token_id
"""  # noqa: S608  # our own constants

_TOTALS = f"""
INSERT INTO token_totals AS totals (token_id, minted, burned, transfers, holders)
SELECT token_id, minted, burned, transfers, holders FROM wrong_totals ORDER BY token_id {ADDED_TO_TOTALS}
"""  # noqa: S608  # our own constant

_FORGET = f"{FORGET_BALANCES.format(pairs='wrong_balances')}; DROP TABLE wrong_balances, wrong_totals"


def settle(tokens: Collection[int] | None, lock_seconds: float) -> tuple[int, int]:
    """Correct the sums of `tokens`, by id, or of all; returns how many balances and how many totals were wrong.

    Reads every transfer of these tokens. Nobody else may settle or correct meanwhile (`gate.begin_correction`). Raises
    Django's `OperationalError` when the gate cannot be closed in `lock_seconds`.
    """
    which = "true" if tokens is None else f"token_id = ANY(ARRAY[{','.join(map(str, sorted(tokens)))}]::int[])"
    with connection.cursor() as cursor:
        # Two statements, two snapshots; each difference holds for itself.
        cursor.execute(_FIND_BALANCES.format(found=expected_sums.BALANCES.format(tokens=which)))
        cursor.execute(
            _FIND_TOTALS.format(found=expected_sums.TOTALS.format(tokens=which), agree=expected_sums.TOTALS_AGREE)
        )
        cursor.execute("SELECT (SELECT count(*) FROM wrong_balances), (SELECT count(*) FROM wrong_totals)")
        balances, totals = cursor.fetchone()
        if balances or totals:
            with transaction.atomic():
                ledger_lock.close(lock_seconds)
                cursor.execute(_TOTALS)
                cursor.execute(_BALANCES)
                cursor.execute(_FORGET)
    return balances, totals
