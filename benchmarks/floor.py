"""The least that applying a transfer costs: COPY and SQL of the same rows into the same tables, written by hand.

Ids are known, rows are in memory as text, nothing is checked, nothing can come twice, one connection does it all.
"""

import os
import time
from itertools import islice

import psycopg

from benchmarks.ledger import address, movements

BATCH = int(os.environ.get("BENCH_FLOOR_BATCH", "20000"))


def run() -> dict[str, float]:
    first, transfers, accounts = (
        int(os.environ[name]) for name in ("BENCH_FIRST", "BENCH_TRANSFERS", "BENCH_ACCOUNTS")
    )
    rows = movements(first, transfers, accounts)
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        ids: dict[str, int] = dict(connection.execute("SELECT address, id FROM accounts").fetchall())
    of = [ids[address(number)] for number in range(accounts)]
    batches = []
    while batch := list(islice(rows, BATCH)):
        batches.append(
            "".join(f"{h}\t{of[s]}\t{of[r]}\t{x}\t0\t{t + 1}\t{amount}\n" for h, x, t, s, r, amount in batch).encode()
        )
    started = time.perf_counter()
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(
            "CREATE TEMP TABLE floor (block_height bigint, from_account_id bigint, to_account_id bigint, tx_index int,"
            " event_index int, token_id int, amount numeric) ON COMMIT DELETE ROWS"
        )
        connection.commit()
        for rendered in batches:
            with connection.cursor().copy("COPY floor FROM STDIN") as copy:
                copy.write(rendered)
            connection.execute("INSERT INTO transfers SELECT * FROM floor")
            connection.execute(
                "INSERT INTO balances AS held (token_id, account_id, amount, transfers)"
                " SELECT token_id, account_id, sum(amount), count(*) FROM"
                " (SELECT token_id, to_account_id AS account_id, amount FROM floor UNION ALL"
                " SELECT token_id, from_account_id, -amount FROM floor) AS sides GROUP BY token_id, account_id"
                " ON CONFLICT (token_id, account_id) DO UPDATE SET amount = held.amount + excluded.amount,"
                " transfers = held.transfers + excluded.transfers"
            )
            connection.execute(
                "UPDATE token_totals SET transfers = transfers + number FROM"
                " (SELECT token_id, count(*) AS number FROM floor GROUP BY token_id) AS sums"
                " WHERE sums.token_id = token_totals.token_id"
            )
            connection.commit()
    return {"transfers": transfers, "seconds": time.perf_counter() - started}
