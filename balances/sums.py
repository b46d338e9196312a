"""Sums that must agree: what the ledger keeps added up against what it is the sum of, as SQL.

Each statement reads one snapshot, in which transfers, balances and totals belong together: they commit together.
`{tokens}` is a condition on a column `token_id`, or true.
"""

BALANCES = """
SELECT token_id, account_id, coalesce(held.amount, 0) AS amount, coalesce(moved.amount, 0) AS right_amount
FROM (SELECT token_id, account_id, amount FROM balances WHERE {tokens}) AS held FULL JOIN (
    SELECT token_id, account_id, sum(amount) AS amount FROM (
        SELECT token_id, to_account_id AS account_id, amount FROM transfers
        WHERE to_account_id IS NOT NULL AND {tokens}
        UNION ALL
        SELECT token_id, from_account_id, -amount FROM transfers WHERE from_account_id IS NOT NULL AND {tokens}
    ) AS sides GROUP BY token_id, account_id
) AS moved USING (token_id, account_id)
WHERE held.amount IS DISTINCT FROM moved.amount
"""
"""Balances that are not the sum of their transfers; a row of zero that is missing or too many too. Reads every transfer
twice."""

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
