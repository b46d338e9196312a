"""Applying messages: new transfers, and the balances and totals they change, in one database transaction.

Hand-written SQL lives here. A batch is a constant number of statements whatever its size. Rows are touched in sorted
order, table after table, so that any number of processors wait for each other in one direction and never deadlock.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection

from balances.announcements import Announced, announce
from balances.moves import MOVE
from blocks.copying import copy_rows
from events.grc20 import split_token
from events.message import Message

# A temporary table lives as long as the connection. A commit empties it, but not what the same transaction did before.
_CREATE_INCOMING = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    block_height bigint, from_account_id bigint, to_account_id bigint,
    tx_index int, event_index int, token_id int, amount numeric
) ON COMMIT DELETE ROWS;
DELETE FROM incoming
"""

_COPY_INCOMING = """
COPY incoming (block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount) FROM STDIN
"""

# Only rows that were not there before (`moves`) move anything: a message that comes twice changes nothing.
_APPLY = f"""
WITH moves AS (
    INSERT INTO transfers (block_height, from_account_id, to_account_id, tx_index, event_index, token_id, amount)
    SELECT block_height, from_account_id, to_account_id, tx_index, event_index, token_id, amount
    FROM incoming ORDER BY block_height, tx_index, event_index
    ON CONFLICT (block_height, tx_index, event_index) DO NOTHING
    RETURNING token_id, from_account_id, to_account_id, amount, 1 AS number
),
{MOVE}"""  # noqa: S608  # both parts are constants of ours


@dataclass
class _Tables:
    """The ids of the tokens and accounts that a batch names."""

    tokens: dict[str, int]
    accounts: dict[str, int]


def apply(messages: Collection[Message]) -> int:
    """Apply `messages` inside the caller's database transaction; returns how many transfers they carry.

    Whatever was applied before is left as it is, so messages may come twice, late and in any order.
    """
    tables = _intern(messages)
    transfers = 0
    with connection.cursor() as cursor:
        cursor.execute(_CREATE_INCOMING)
        with copy_rows(_COPY_INCOMING) as copy:
            for message in messages:
                token_ids = [tables.tokens[path] for path, _ in message.tokens]
                # Position −1, the empty side, is the last entry: NULL.
                account_ids = [*(tables.accounts[address] for address in message.accounts), "\\N"]
                copy.write(
                    "".join(
                        f"{height}\t{tx}\t{event}\t{token_ids[token]}\t{account_ids[sender]}\t{account_ids[recipient]}"
                        f"\t{amount}\n"
                        for height, tx, event, token, sender, recipient, amount in message.transfers
                    )
                )
                transfers += len(message.transfers)
        if transfers:
            cursor.execute(_APPLY)
    announce(
        [
            Announced(height, tx, event, tables.tokens[message.tokens[token][0]], name, symbol, decimals)
            for message in messages
            for height, tx, event, token, name, symbol, decimals in message.announcements
        ]
    )
    return transfers


def _intern(messages: Collection[Message]) -> _Tables:
    paths = {path: standard for message in messages for path, standard in message.tokens}
    addresses = {address for message in messages for address in message.accounts}
    with connection.cursor() as cursor:
        cursor.execute("SELECT path, id FROM tokens WHERE path = ANY(%s)", [list(paths)])
        tokens: dict[str, int] = dict(cursor.fetchall())
        if missing := sorted(paths.keys() - tokens.keys()):
            rows = [(path, *_realm_and_key(path), paths[path]) for path in missing]
            cursor.execute(
                "INSERT INTO tokens (path, realm, key, standard)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])"
                " ON CONFLICT (path) DO NOTHING",
                [list(column) for column in zip(*rows, strict=True)],
            )
            cursor.execute("SELECT path, id FROM tokens WHERE path = ANY(%s)", [missing])
            tokens |= dict(cursor.fetchall())
        # Looked up in every batch: ids kept in memory would outlive a database that is restored from a backup.
        cursor.execute("SELECT address, id FROM accounts WHERE address = ANY(%s)", [list(addresses)])
        accounts: dict[str, int] = dict(cursor.fetchall())
        if missing := sorted(addresses - accounts.keys()):
            cursor.execute(
                "INSERT INTO accounts (address) SELECT * FROM unnest(%s::text[]) ON CONFLICT (address) DO NOTHING",
                [missing],
            )
            cursor.execute("SELECT address, id FROM accounts WHERE address = ANY(%s)", [missing])
            accounts |= dict(cursor.fetchall())
    return _Tables(tokens, accounts)


def _realm_and_key(path: str) -> tuple[str, str]:
    """The realm of a token and its key (realm.SYMBOL); a realm-stamped token is both by itself."""
    split = split_token(path)
    return (split[0], f"{split[0]}.{split[1]}") if split else (path, path)
