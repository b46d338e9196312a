"""Applying messages: new transfers, and the balances and totals they change, in one database transaction.

Hand-written SQL lives here. A batch is a constant number of statements whatever its size. Rows are touched in sorted
order, table after table, so that any number of processors wait for each other in one direction and never deadlock.
"""

from collections.abc import Collection

from django.db import connection

from balances import ranking
from balances.announcements import Announced, announce
from balances.moves import MOVE, MOVE_AND_RANK
from blocks.copying import copy_rows
from events.grc20 import split_token
from events.message import Message

# Temporary tables live as long as the connection. A commit empties them, but not what the same transaction did before.
_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS named (position int, address text COLLATE "C", account_id bigint)
ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    block_height bigint, tx_index int, event_index int, token_id int, sender int, recipient int, amount numeric
) ON COMMIT DELETE ROWS;
DELETE FROM named;
DELETE FROM incoming;
SET LOCAL work_mem = '64MB'
"""

# Looked up in every batch: ids kept in memory would outlive a database that is restored from a backup.
_NAME = """
INSERT INTO named SELECT position - 1, address, accounts.id
FROM unnest(%s::text[]) WITH ORDINALITY AS given (address, position) LEFT JOIN accounts USING (address)
"""

_NEW_ACCOUNTS = """
INSERT INTO accounts (address) SELECT address FROM named WHERE account_id IS NULL ORDER BY address
ON CONFLICT (address) DO NOTHING
"""

# A statement of its own, which sees what another processor has inserted in between.
_NAME_NEW = """
UPDATE named SET account_id = accounts.id FROM accounts
WHERE named.account_id IS NULL AND accounts.address = named.address
"""

# Only rows that were not there before (`moves`) move anything: a message that comes twice changes nothing.
_INSERT = """
WITH moves AS (
    INSERT INTO transfers (block_height, from_account_id, to_account_id, tx_index, event_index, token_id, amount)
    SELECT block_height, senders.account_id, recipients.account_id, tx_index, event_index, token_id, amount
    FROM incoming
    LEFT JOIN named AS senders ON senders.position = sender
    LEFT JOIN named AS recipients ON recipients.position = recipient
    ORDER BY block_height, tx_index, event_index
    {known}
    RETURNING token_id, from_account_id, to_account_id, amount, 1 AS number
),
"""
_INSERT_NEW = _INSERT.format(known="")
_INSERT_UNKNOWN = _INSERT.format(known="ON CONFLICT (block_height, tx_index, event_index) DO NOTHING")


def apply(messages: Collection[Message], *, new: bool = False) -> int:
    """Apply `messages` inside the caller's database transaction; returns how many transfers they carry.

    Whatever was applied before is left as it is, so messages may come twice, late and in any order. Who has reason to
    think that nothing of them was says `new`, which is a tenth cheaper; then Django's `IntegrityError` says otherwise.
    """
    transfers = sum(len(message.transfers) for message in messages)
    at_once = transfers <= ranking.AT_ONCE
    if not at_once:
        # First: it may wait for another processor, which may wait for any row locked before
        ranking.fall_behind(min(message.first_height for message in messages))
    tokens = _intern_tokens(messages)
    positions: dict[str, int] = {}
    with connection.cursor() as cursor:
        cursor.execute(_STAGE)
        with copy_rows("COPY incoming FROM STDIN") as copy:
            for message in messages:
                token_ids = [tokens[path] for path, _ in message.tokens]
                # Position −1, the empty side, stays −1: nobody is named so.
                accounts = [*(positions.setdefault(address, len(positions)) for address in message.accounts), -1]
                copy.write(
                    "".join(
                        f"{height}\t{tx}\t{event}\t{token_ids[token]}\t{accounts[sender]}\t{accounts[recipient]}"
                        f"\t{amount}\n"
                        for height, tx, event, token, sender, recipient, amount in message.transfers
                    )
                )
        if transfers:
            cursor.execute(_NAME, [list(positions)])
            cursor.execute(_NEW_ACCOUNTS)
            cursor.execute(_NAME_NEW)
            cursor.execute((_INSERT_NEW if new else _INSERT_UNKNOWN) + (MOVE_AND_RANK if at_once else MOVE))
    announce(
        [
            Announced(height, tx, event, tokens[message.tokens[token][0]], name, symbol, decimals)
            for message in messages
            for height, tx, event, token, name, symbol, decimals in message.announcements
        ]
    )
    return transfers


def _intern_tokens(messages: Collection[Message]) -> dict[str, int]:
    paths = {path: standard for message in messages for path, standard in message.tokens}
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
    return tokens


def _realm_and_key(path: str) -> tuple[str, str]:
    """The realm of a token and its key (realm.SYMBOL); a realm-stamped token is both by itself."""
    split = split_token(path)
    return (split[0], f"{split[0]}.{split[1]}") if split else (path, path)
