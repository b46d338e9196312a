"""What moved, added to balances and totals by applying messages or correcting transfers; and pairs that never moved."""

# Beside what is there already, as `totals`.
ADDED_TO_TOTALS = """
ON CONFLICT (token_id) DO UPDATE SET
    minted = totals.minted + excluded.minted,
    burned = totals.burned + excluded.burned,
    transfers = totals.transfers + excluded.transfers,
    holders = totals.holders + excluded.holders
"""

# By how many the holders of a token are more, when `changes` made of its balances what is in `changed`.
MORE_HOLDERS = """
    SELECT changed.token_id,
           count(*) FILTER (WHERE changed.amount > 0)
           - count(*) FILTER (WHERE changed.amount - changes.amount > 0) AS holders
    FROM changed JOIN {changes} AS changes USING (token_id, account_id) GROUP BY changed.token_id
"""

# The rows of `changes`, added to balances.
CHANGED_BALANCES = """
    INSERT INTO balances AS held (token_id, account_id, amount, transfers)
    SELECT token_id, account_id, amount, transfers FROM {changes} AS changes ORDER BY account_id, token_id
    ON CONFLICT (account_id, token_id) DO UPDATE SET
        amount = held.amount + excluded.amount,
        transfers = held.transfers + excluded.transfers
    RETURNING token_id, account_id, amount
"""

# The rest of a statement that begins `WITH moves AS (…),`, one row a movement: token_id, from_account_id, to_account_id
# (NULL: the empty side of a mint or a burn), amount, and number, how many transfers it is: 1, or -1 where one goes.
# Rows are touched in the order of the tables' keys, balances before totals, so that writers wait in one direction only.
MOVE = f"""
changes AS (
    SELECT token_id, account_id, sum(amount) AS amount, sum(number) AS transfers FROM (
        SELECT token_id, to_account_id AS account_id, amount, number FROM moves WHERE to_account_id IS NOT NULL
        UNION ALL
        -- who sends to himself is on both sides, and did so once
        SELECT token_id, from_account_id, -amount, CASE WHEN from_account_id = to_account_id THEN 0 ELSE number END
        FROM moves WHERE from_account_id IS NOT NULL
    ) AS sides GROUP BY token_id, account_id
),
changed AS (
    {CHANGED_BALANCES.format(changes="changes")}
),
holders AS ({MORE_HOLDERS.format(changes="changes")}),
sums AS (
    SELECT token_id,
           coalesce(sum(amount) FILTER (WHERE from_account_id IS NULL), 0) AS minted,
           coalesce(sum(amount) FILTER (WHERE to_account_id IS NULL), 0) AS burned,
           sum(number) AS transfers
    FROM moves GROUP BY token_id
)
INSERT INTO token_totals AS totals (token_id, minted, burned, transfers, holders)
SELECT sums.token_id, minted, burned, transfers, coalesce(holders.holders, 0)
FROM sums LEFT JOIN holders USING (token_id) ORDER BY sums.token_id
{ADDED_TO_TOTALS}
"""  # noqa: S608  # our own constants

_MOVED = "SELECT FROM transfers WHERE {side} = gone.account_id AND token_id = gone.token_id"

# An account whose last transfer of a token went has never held it. Accounts themselves stay: an address is no claim.
FORGET_BALANCES = f"""
DELETE FROM balances USING {{pairs}} AS gone
WHERE balances.token_id = gone.token_id AND balances.account_id = gone.account_id AND balances.amount = 0
AND NOT EXISTS ({_MOVED.format(side="from_account_id")}) AND NOT EXISTS ({_MOVED.format(side="to_account_id")})
"""  # noqa: S608  # our own constant
"""Of `pairs`, a table of account_id and token_id, with which no transfer is left; a statement to be formatted."""
