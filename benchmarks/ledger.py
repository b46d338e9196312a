"""Data for the apply benchmark: a history that is already there, and messages that wait to be applied."""

import hashlib
import itertools
import random
from collections.abc import Iterator

import psycopg

from benchmarks.chain import CHAIN_ID
from events.outbox.message import Packed, Packer

TOKENS = 100
ACCOUNTS = 1_000_000
TRANSFERS_PER_BLOCK = 200

# Made in SQL and in Python alike, as long as an address, and as little in order: neighbours in an index are strangers.
_ADDRESS = "'g1' || substr(md5('a' || %s) || md5('b' || %s), 1, 38)"


def address(number: int) -> str:
    return "g1" + "".join(hashlib.md5(f"{letter}{number}".encode()).hexdigest() for letter in "ab")[:38]


def token(number: int) -> str:
    return f"gno.land/r/bench/token{number}.T{number}.0000000"


def prefill(url: str, transfers: int, accounts: int) -> None:
    """`transfers` transfers among `accounts` accounts and 100 tokens, skewed, with the balances that they make.

    Done in SQL, with the indexes built afterwards, for nothing of it is measured.
    """
    blocks = transfers // TRANSFERS_PER_BLOCK
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tokens (path, key, realm, standard) SELECT 'gno.land/r/bench/token' || n || '.T' || n ||"
            " '.0000000', 'k' || n, 'r' || n, true FROM generate_series(0, %s) AS n",
            [TOKENS - 1],
        )
        # Who is met more often is met earlier, as in a chain: a draw without replacement, by Zipf's weights.
        connection.execute(
            "CREATE TEMPORARY TABLE numbered AS SELECT number, row_number() OVER (ORDER BY met) AS id FROM"
            " (SELECT n AS number, -ln(1 - random()) * (n + 1) AS met FROM generate_series(0, %s) AS n) AS numbers",
            [accounts - 1],
        )
        connection.execute(
            f"INSERT INTO accounts (address) SELECT {_ADDRESS % ('number', 'number')} FROM numbered ORDER BY id"
        )
        indexes = connection.execute(
            "SELECT indexname, indexdef FROM pg_indexes WHERE tablename IN ('transfers', 'balances')"
            " AND indexname NOT LIKE '%%_pkey'"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        # n^u, with u even from 0 to 1, is Zipf's law: the k-th of n is met in proportion to 1/k.
        connection.execute(
            "INSERT INTO transfers"
            " (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount)"
            " SELECT n / %(per)s, n %% %(per)s, 0, token_id, senders.id, recipients.id, amount FROM"
            " (SELECT n, floor(%(tokens)s ^ random())::int AS token_id,"
            " floor(%(accounts)s ^ random())::int - 1 AS sender,"
            " floor(%(accounts)s ^ random())::int - 1 AS recipient, 1 + (random() * 1000)::int AS amount"
            " FROM generate_series(0, %(last)s) AS n) AS drawn"
            " JOIN numbered AS senders ON senders.number = sender"
            " JOIN numbered AS recipients ON recipients.number = recipient ORDER BY n",
            {
                "per": TRANSFERS_PER_BLOCK,
                "tokens": TOKENS,
                "accounts": accounts,
                "last": transfers - 1,
            },
        )
        connection.execute(
            "INSERT INTO balances (token_id, account_id, amount, transfers)"
            " SELECT token_id, account_id, sum(amount), count(*) FROM ("
            " SELECT block_height, token_id, to_account_id AS account_id, amount FROM transfers UNION ALL"
            " SELECT block_height, token_id, from_account_id, -amount FROM transfers) AS sides"
            " GROUP BY token_id, account_id ORDER BY min(block_height)"
        )
        for name, definition in indexes:
            # As full as the tree becomes where insertions fall anywhere. Built full, all its pages would split at once.
            partial = definition.find(" WHERE ") if " WHERE " in definition else len(definition)
            filled = " WITH (fillfactor = 70)" if name != "transfer_token" else ""
            connection.execute(definition[:partial] + filled + definition[partial:])
            connection.execute(f"ALTER INDEX {name} RESET (fillfactor)")
        connection.execute("INSERT INTO token_totals (token_id) SELECT id FROM tokens")
        connection.execute(
            "INSERT INTO chain (id, chain_id, first_block_hash, start_height, coverage, tip)"
            " VALUES (1, %s, '', 0, int8multirange(int8range(0, %s)), %s)",
            [CHAIN_ID, blocks + 1, blocks],
        )
        connection.execute("VACUUM ANALYZE")


def movements(first_height: int, transfers: int, accounts: int) -> Iterator[tuple[int, int, int, int, int, int]]:
    """(height, tx_index, token, sender, recipient, amount), as skewed as the history, always the same."""
    chance = random.Random(first_height)
    for number in range(transfers):
        yield (
            first_height + number // TRANSFERS_PER_BLOCK,
            number % TRANSFERS_PER_BLOCK,
            int(TOKENS ** chance.random()) - 1,
            int(accounts ** chance.random()) - 1,
            int(accounts ** chance.random()) - 1,
            1 + int(chance.random() * 1000),
        )


def fill_outbox(url: str, first_height: int, transfers: int, accounts: int, max_bytes: int) -> int:
    """Messages of `transfers` transfers, as the synchronizer packs them, a thousand blocks a window; how many."""
    total = 0
    with psycopg.connect(url) as connection:
        for _, window in itertools.groupby(
            movements(first_height, transfers, accounts), lambda row: row[0] // (100_000 // TRANSFERS_PER_BLOCK)
        ):
            packer = Packer(CHAIN_ID, max_bytes)
            for height, index, of, sender, recipient, amount in window:
                packer.add_transfer(height, index, 0, token(of), True, address(sender), address(recipient), amount)
            for packed in packer.messages():
                _insert(connection, packed)
                total += 1
        connection.execute("UPDATE chain SET coverage = coverage + int8multirange(int8range(0, %s))", [10**9])
    return total


def _insert(connection: psycopg.Connection[tuple[object, ...]], packed: Packed) -> None:
    row = connection.execute("SELECT nextval(pg_get_serial_sequence('outbox', 'id'))").fetchone()
    assert row is not None
    number = int(str(row[0]))
    connection.execute(
        "INSERT INTO outbox (id, first_height, last_height, transfers, body) VALUES (%s, %s, %s, %s, %s)",
        [number, packed.first_height, packed.last_height, packed.transfers, packed.body(number)],
    )
