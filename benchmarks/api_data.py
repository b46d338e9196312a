"""Data for the API benchmark: balances and the transfers that make them, skewed as real ledgers are.

Everything hangs together as the processors would leave it: a balance is the sum of its account's transfers, supplies
and holders are counted, each transfer has its block and its transaction. Made in SQL, indexes built afterwards.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import psycopg

from benchmarks.chain import CHAIN_ID
from benchmarks.database import ROOT, empty

Connection = psycopg.Connection[tuple[object, ...]]

TOKENS = 100
TRANSFERS_PER_TRANSACTION = 5
TRANSACTIONS_PER_BLOCK = 40
PER_BLOCK = TRANSFERS_PER_TRANSACTION * TRANSACTIONS_PER_BLOCK
BALANCES_PER_ACCOUNT = 2.2  # what comes out of the numbers below

_LOADED = ["blocks", "transactions", "accounts", "transfers", "balances"]

# n^u, with u even from 0 to 1, is Zipf's law: the k-th of n is met in proportion to 1/k, so that the first of three
# million accounts is in nearly a tenth of all transfers. The busy hundred use every token, others every twentieth.
_MOVES = """
INSERT INTO transfers (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)
SELECT n / %(block)s, n %% %(block)s / %(transaction)s, n %% %(transaction)s,
       token,
       CASE WHEN sender < 100 THEN sender ELSE sender / 20 * 20 + token %% 20 END,
       CASE WHEN recipient < 100 THEN recipient ELSE recipient / 20 * 20 + token %% 20 END,
       1 + floor(10 ^ (9 * random()))::bigint
FROM (
    SELECT n, floor(%(tokens)s ^ random())::int AS token, floor(%(accounts)s ^ random())::bigint AS sender,
           floor(%(accounts)s ^ random())::bigint AS recipient
    FROM generate_series(%(first)s::bigint, %(last)s) AS n OFFSET 0
) AS drawn
"""
# What an account would lack is minted, in blocks before all others, so that no balance is negative.
_SUMS = """
CREATE TEMPORARY TABLE sums AS
SELECT token_id, account_id, amount, transfers,
       CASE WHEN amount < 0 THEN floor(10 ^ (9 * random()))::bigint - amount END AS minted
FROM (
    SELECT token_id, account_id, sum(amount) AS amount, sum(number) AS transfers FROM (
        SELECT token_id, to_account_id AS account_id, amount, 1 AS number FROM transfers
        UNION ALL
        SELECT token_id, from_account_id, -amount, (from_account_id <> to_account_id)::int FROM transfers
    ) AS sides GROUP BY token_id, account_id
) AS changes
"""
_MINTS = """
INSERT INTO transfers (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)
SELECT n / %(block)s, n %% %(block)s / %(transaction)s, n %% %(transaction)s,
       token_id, NULL, account_id, minted
FROM (SELECT row_number() OVER () - 1 AS n, * FROM sums WHERE minted IS NOT NULL) AS lacking
"""
_BALANCES = """
INSERT INTO balances (token_id, account_id, amount, transfers)
SELECT token_id, account_id, amount + coalesce(minted, 0), transfers + (minted IS NOT NULL)::int
FROM sums
"""
_TOTALS = """
INSERT INTO token_totals (token_id, minted, transfers, holders)
SELECT token_id, minted, moved.transfers + sums.mints, holders
FROM (
    SELECT token_id, count(*) AS transfers FROM transfers WHERE from_account_id IS NOT NULL GROUP BY token_id
) AS moved
JOIN (SELECT token_id, coalesce(sum(minted), 0) AS minted, count(minted) AS mints,
             count(*) FILTER (WHERE amount + coalesce(minted, 0) > 0) AS holders
      FROM sums GROUP BY token_id) AS sums USING (token_id)
"""
_BLOCKS = """
INSERT INTO blocks (height, hash, last_block_hash, time, num_txs, total_txs, proposer_address)
SELECT n, encode(sha256(n::text::bytea), 'base64'), encode(sha256((n - 1)::text::bytea), 'base64'),
       timestamptz '2025-01-01 00:00Z' + n * interval '2 s', %(per)s, n * %(per)s, ''
FROM generate_series(0, %(last)s) AS n
"""
_TRANSACTIONS = """
INSERT INTO transactions
    (block_height, index, hash, success, gas_wanted, gas_used, gas_fee, memo, error, messages, events)
SELECT n / %(per)s, n %% %(per)s, encode(sha256(('transaction ' || n)::bytea), 'base64'), true, 0, 0, '', '', '',
       '[]', '[]'
FROM generate_series(0, %(last)s::bigint) AS n
"""
# Applied and not pruned yet: answers take their version from the ends of the outbox's indexes.
_OUTBOX = """
INSERT INTO outbox (first_height, last_height, transfers, body, published_at, applied_at)
SELECT n, n, %s, '{}', now(), now() FROM generate_series(0, 999) AS n
"""


@dataclass(frozen=True)
class Size:
    """How many transfers, and about how many balances they leave."""

    balances: int
    transfers: int

    @property
    def accounts(self) -> int:
        return max(int(self.balances / BALANCES_PER_ACCOUNT) // 20 * 20, 200)

    @property
    def first_block(self) -> int:
        """Before it are the mints: about one for every second balance, and room for twice as many."""
        return self.balances // PER_BLOCK + 1

    @property
    def blocks(self) -> int:
        return self.first_block + self.transfers // PER_BLOCK


def fill(url: str, size: Size) -> bool:
    """Make the data, unless the database has it already, of this size and in today's tables; True when it was made."""
    tables = (ROOT / "schema.sql").read_bytes() + Path(__file__).read_bytes()
    mark = f"{size.balances} {size.transfers} {sha256(tables).hexdigest()[:16]}"
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT obj_description('transfers'::regclass)").fetchone() == (mark,):
            return False
        connection.execute("COMMENT ON TABLE transfers IS NULL")
        empty(url)
        connection.execute("SET maintenance_work_mem = '1GB'; SET work_mem = '1GB'; SET hash_mem_multiplier = 2")
        with connection.transaction():  # so that who is interrupted leaves no tables without indexes
            for table in _LOADED:  # half the writing, and to those who read it is all the same
                connection.execute(f"ALTER TABLE {table} SET UNLOGGED")
            with without_indexes(connection):
                _load(connection, size)
        walk(url)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
        connection.execute(psycopg.sql.SQL("COMMENT ON TABLE transfers IS {}").format(mark))
    return True


def walk(url: str) -> None:
    """Have the product make its checkpoints, in a process of its own: Django reads its settings once."""
    finish = (
        "import django, threading; django.setup(); from balances.checkpoint_worker import Walker; "
        "Walker(threading.Event()).finish()"
    )
    settings = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "indexer_project.settings"}
    subprocess.run([sys.executable, "-c", finish], cwd=ROOT, env={**os.environ, **settings}, check=True)


def _load(connection: Connection, size: Size) -> None:
    connection.execute(
        "INSERT INTO tokens (path, key, realm, standard, name, symbol, decimals, announcements)"
        " SELECT realm || '.T' || n || '.0000000', realm || '.T' || n, realm, true, 'Token ' || n, 'T' || n, 6, 1"
        " FROM (SELECT n, 'gno.land/r/bench/token' || n AS realm FROM generate_series(1, %s) AS n) AS named",
        [TOKENS],
    )
    with connection.cursor().copy("COPY accounts (id, address) FROM STDIN") as copy:
        for number, address in enumerate(addresses(size.accounts), 1):
            copy.write(f"{number}\t{address}\n")
    numbers = {
        "block": PER_BLOCK,
        "transaction": TRANSFERS_PER_TRANSACTION,
        "tokens": TOKENS,
        "accounts": size.accounts,
        "first": size.first_block * PER_BLOCK,
        "last": size.blocks * PER_BLOCK - 1,
    }
    connection.execute(_MOVES, numbers)
    connection.execute("ANALYZE transfers, accounts")
    connection.execute(_SUMS)
    connection.execute("ANALYZE sums")
    connection.execute(_MINTS, numbers)
    connection.execute(_BALANCES)
    connection.execute(_TOTALS)
    connection.execute(_BLOCKS, {"per": TRANSACTIONS_PER_BLOCK, "last": size.blocks - 1})
    last_transaction = size.blocks * TRANSACTIONS_PER_BLOCK - 1
    connection.execute(_TRANSACTIONS, {"per": TRANSACTIONS_PER_BLOCK, "last": last_transaction})
    connection.execute(_OUTBOX, [PER_BLOCK])
    connection.execute(
        "INSERT INTO chain (id, chain_id, first_block_hash, start_height, coverage, tip)"
        " VALUES (1, %s, '', 0, int8multirange(int8range(0, %s)), %s)",
        [CHAIN_ID, size.blocks, size.blocks - 1],
    )


@contextmanager
def without_indexes(connection: Connection) -> Iterator[None]:
    """Drop every index of the loaded tables, keys among them, and build them afterwards as they were."""
    keys = connection.execute(
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = ANY(%s::text[]::regclass[]) AND contype IN ('p', 'u')",
        [_LOADED],
    ).fetchall()
    for table, name, _ in keys:
        connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}".encode())
    indexes = connection.execute(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = ANY(%s::text[]::regclass[])",
        [_LOADED],
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}".encode())
    yield
    for table, name, definition in keys:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}".encode())
    for _, definition in indexes:
        connection.execute(str(definition).encode())


_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_SCATTER = 0x9E3779B97F | 1  # times this, modulo 2^40, numbers that follow each other are far apart


def addresses(number: int) -> Iterator[str]:
    """So many addresses, always the same, in no order, each with its bech32 checksum.

    A checksum is linear: each character adds its own bits, whatever the others are. So two characters at a time are
    looked up, which makes a million addresses a second or two.
    """
    rest = [0] * 24
    plain = _checksum([0] * 8 + rest)
    pairs = [_ALPHABET[value >> 5] + _ALPHABET[value & 31] for value in range(1024)]
    bits = [
        [
            _checksum([0] * 2 * place + [value >> 5, value & 31] + [0] * (6 - 2 * place) + rest) ^ plain
            for value in range(1024)
        ]
        for place in range(4)
    ]
    a, b, c, d = bits
    end = _ALPHABET[0] * len(rest)
    for account in range(1, number + 1):
        scattered = account * _SCATTER & 0xFFFFFFFFFF
        i, j, k, m = scattered >> 30, scattered >> 20 & 1023, scattered >> 10 & 1023, scattered & 1023
        check = plain ^ a[i] ^ b[j] ^ c[k] ^ d[m]
        yield (
            f"g1{pairs[i]}{pairs[j]}{pairs[k]}{pairs[m]}{end}"
            f"{pairs[check >> 20]}{pairs[check >> 10 & 1023]}{pairs[check & 1023]}"
        )


def _checksum(payload: list[int]) -> int:
    state = 1
    for value in [ord("g") >> 5, 0, ord("g") & 31, *payload, 0, 0, 0, 0, 0, 0]:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            state ^= generator if top >> bit & 1 else 0
    return state ^ 1
