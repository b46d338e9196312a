"""Sums that must agree: what the ledger keeps added up against what it is the sum of, as SQL.

Each statement reads one snapshot, in which transfers, balances and totals belong together: they commit together.
`{tokens}` is a condition on a column `token_id`, or true.
"""

BALANCES = """
SELECT token_id, account_id, coalesce(held.amount, 0) AS amount, coalesce(moved.amount, 0) AS right_amount,
       coalesce(held.transfers, 0) AS transfers, coalesce(moved.transfers, 0) AS right_transfers
FROM (SELECT token_id, account_id, amount, transfers FROM balances WHERE {tokens}) AS held FULL JOIN (
    SELECT token_id, account_id, sum(amount) AS amount, sum(number) AS transfers FROM (
        SELECT token_id, to_account_id AS account_id, amount, 1 AS number FROM transfers
        WHERE to_account_id IS NOT NULL AND {tokens}
        UNION ALL
        SELECT token_id, from_account_id, -amount, CASE WHEN from_account_id = to_account_id THEN 0 ELSE 1 END
        FROM transfers WHERE from_account_id IS NOT NULL AND {tokens}
    ) AS sides GROUP BY token_id, account_id
) AS moved USING (token_id, account_id)
WHERE (held.amount, held.transfers) IS DISTINCT FROM (moved.amount, moved.transfers)
"""
"""Balances that are not the sum of their transfers, or miscount them; a row of zero that is missing or too many too.
Reads every transfer twice."""

TOTALS = """
SELECT token_id,
       coalesce(totals.minted, 0) AS minted, coalesce(moved.minted, 0) AS right_minted,
       coalesce(totals.burned, 0) AS burned, coalesce(moved.burned, 0) AS right_burned,
       coalesce(totals.transfers, 0) AS transfers, coalesce(moved.transfers, 0) AS right_transfers,
       coalesce(totals.holders, 0) AS holders, coalesce(held.holders, 0) AS right_holders,
       coalesce(held.amount, 0) AS held
FROM (SELECT * FROM token_totals WHERE {tokens}) AS totals FULL JOIN (
    SELECT token_id, count(*) AS transfers,
           coalesce(sum(amount) FILTER (WHERE from_account_id IS NULL), 0) AS minted,
           coalesce(sum(amount) FILTER (WHERE to_account_id IS NULL), 0) AS burned
    FROM transfers WHERE {tokens} GROUP BY token_id
) AS moved USING (token_id) FULL JOIN (
    SELECT token_id, sum(amount) AS amount, count(*) FILTER (WHERE amount > 0) AS holders
    FROM balances WHERE {tokens} GROUP BY token_id
) AS held USING (token_id)
"""
"""Each token's totals, as kept and as added up, and the sum of its balances. Reads every transfer and balance once."""

MINTED_LESS_BURNED_IS_HELD = "held = minted - burned"

TOTALS_AGREE = "(minted, burned, transfers, holders) = (right_minted, right_burned, right_transfers, right_holders)"

CHECKPOINTS = """
WITH walk AS (SELECT height FROM checkpoint_walk),
moved AS (
    SELECT account_id, token_id, mark, sum(amount) AS amount FROM (
        SELECT coalesce(to_account_id, 0) AS account_id, token_id, block_height, amount FROM transfers
        UNION ALL
        SELECT coalesce(from_account_id, 0), token_id, block_height, -amount FROM transfers
    ) AS sides CROSS JOIN LATERAL (
        SELECT min(marks.block_height) AS mark FROM checkpoint_marks AS marks
        WHERE marks.account_id = sides.account_id AND marks.block_height >= sides.block_height
          AND marks.block_height <= (SELECT height FROM walk)
    ) AS following
    WHERE mark IS NOT NULL GROUP BY account_id, token_id, mark
)
SELECT account_id, token_id, block_height, balance, right_balance FROM (
    SELECT account_id, token_id, block_height, balance FROM balance_checkpoints
    WHERE block_height <= (SELECT height FROM walk)
) AS kept FULL JOIN (
    SELECT account_id, token_id, mark AS block_height,
           sum(amount) OVER (PARTITION BY account_id, token_id ORDER BY mark) AS right_balance FROM moved
) AS added_up USING (account_id, token_id, block_height)
WHERE balance IS DISTINCT FROM right_balance
"""
"""Checkpoints that count and are not the sum of the movements before them, or are missing (NULL), or too many.
Account 0 is nobody. Reads every transfer twice, and a mark for each."""
