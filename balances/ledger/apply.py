"""Applying messages: new transfers, and the balances and totals they change, in one database transaction.

Hand-written SQL lives here. A batch is a constant number of statements whatever its size. Rows are touched in sorted
order, table after table, so that any number of processors wait for each other in one direction and never deadlock.
"""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter

import msgspec
from django.db import connection
from msgspec.structs import replace

from balances.ledger.deltas import MOVE
from balances.ledger.token_metadata import Announced, announce
from balances.token_flags import is_ephemeral
from events.outbox.message import Message
from events.parsing.grc20 import realm_and_key
from postgres.copy import copy_rows

# A temporary table lives as long as the connection. A commit empties it, but not what the same transaction did before.
_STAGE = """
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    block_height bigint, tx_index int, event_index int, token_id int,
    from_account_id bigint, to_account_id bigint, amount numeric
) ON COMMIT DELETE ROWS;
DELETE FROM incoming;
SET LOCAL work_mem = '64MB'
"""

EMPTY_SIDE = -1
"""The position of no account: the empty side of a mint or a burn."""

Transfers = list[tuple[int, int, int, int, int, int, str]]

_COLUMNS = "block_height, tx_index, event_index, token_id, from_account_id, to_account_id, amount"

# Looked up in every batch: ids kept in memory would outlive a database that is restored from a backup. JSON, for the
# planner takes it for few rows and probes the index in the order given; with an array it may read all accounts.
_ACCOUNTS = """
SELECT array_agg(accounts.id ORDER BY position)
FROM json_array_elements_text(%s::json) WITH ORDINALITY AS given (address, position) LEFT JOIN accounts USING (address)
"""

# Given in the order in which they appear, which is the order of their ids; inserted in the order of addresses, so that
# processors wait for each other in one direction.
_NEW_ACCOUNTS = """
INSERT INTO accounts (id, address)
SELECT id, address FROM (
    SELECT nextval(pg_get_serial_sequence('accounts', 'id')) AS id, address
    FROM json_array_elements_text(%s::json) WITH ORDINALITY AS given (address, position) ORDER BY position
) AS numbered ORDER BY address
ON CONFLICT (address) DO NOTHING
"""

_NEW_MOVES = """
WITH moves AS NOT MATERIALIZED (SELECT token_id, from_account_id, to_account_id, amount, 1 AS number FROM incoming),
"""

# Only rows that were not there before move anything: a message that comes twice changes nothing.
_UNKNOWN_MOVES = f"""
WITH moves AS (
    INSERT INTO transfers ({_COLUMNS})
    SELECT {_COLUMNS} FROM incoming ORDER BY block_height, tx_index, event_index
    ON CONFLICT (block_height, tx_index, event_index) DO NOTHING
    RETURNING token_id, from_account_id, to_account_id, amount, 1 AS number
),
"""  # noqa: S608  # both parts are constants of ours


def apply(messages: Collection[Message], *, new: bool = False) -> int:
    """Apply `messages` inside the caller's database transaction; returns how many transfers they carry.

    Whatever was applied before is left as it is, so messages may come twice, late and in any order. Who has reason to
    think that nothing of them was says `new`, which is cheaper; then Django's `IntegrityError` says otherwise.
    """
    transfers = sum(len(message.transfers) for message in messages)
    tokens = _intern_tokens(messages)
    if transfers:
        in_order = sorted(messages, key=attrgetter("first_height"))
        accounts = _intern_accounts(in_order)
        rows = [_rows(message, tokens, accounts) for message in in_order]
        with connection.cursor() as cursor:
            cursor.execute(_STAGE)
            for table in ("incoming", "transfers") if new else ("incoming",):
                with copy_rows(f"COPY {table} ({_COLUMNS}) FROM STDIN") as copy:
                    for of_message in rows:
                        copy.write(of_message)
            cursor.execute((_NEW_MOVES if new else _UNKNOWN_MOVES) + MOVE)
    announce(
        [
            Announced(height, tx, event, tokens[message.tokens[token][0]], name, symbol, decimals)
            for message in messages
            for height, tx, event, token, name, symbol, decimals in message.announcements
        ]
    )
    return transfers


def halves(message: Message) -> tuple[Message, Message]:
    """Two messages that together are `message`, each with half of its transfers and the accounts that they name."""
    middle = len(message.transfers) // 2
    first = _with_transfers(message, message.transfers[:middle])
    return first, replace(_with_transfers(message, message.transfers[middle:]), announcements=[])


def _with_transfers(message: Message, transfers: Transfers) -> Message:
    named = sorted({side for *_, sender, recipient, _ in transfers for side in (sender, recipient)} - {EMPTY_SIDE})
    position = {old: new for new, old in enumerate(named)} | {EMPTY_SIDE: EMPTY_SIDE}
    moved = [
        (*place, token, position[sender], position[recipient], amount)
        for *place, token, sender, recipient, amount in transfers
    ]
    return replace(message, accounts=[message.accounts[side] for side in named], transfers=moved)


def _rows(message: Message, tokens: Mapping[str, int], accounts: Mapping[str, int]) -> str:
    """The transfers of a message with the ids of the database, as COPY reads them."""
    token_ids = [tokens[path] for path, _ in message.tokens]
    # The last one is the empty side, position −1.
    account_ids = [*(accounts[address] for address in message.accounts), r"\N"]
    return "".join(
        f"{height}\t{tx}\t{event}\t{token_ids[token]}\t{account_ids[sender]}\t{account_ids[recipient]}\t{amount}\n"
        for height, tx, event, token, sender, recipient, amount in message.transfers
    )


def _intern_accounts(messages: Sequence[Message]) -> dict[str, int]:
    """Address → id for every account of `messages`, which are in chain order."""
    # In order, so that neighbours in the index are met one after the other: a third of what it costs otherwise.
    addresses = sorted({address for message in messages for address in message.accounts})
    accounts = _account_ids(addresses)
    if missing := [address for address in addresses if accounts[address] is None]:
        appearing = dict.fromkeys(address for message in messages for address in message.accounts)
        with connection.cursor() as cursor:
            cursor.execute(_NEW_ACCOUNTS, [_json([each for each in appearing if accounts[each] is None])])
        # A statement of its own, which sees what another processor has inserted in between.
        accounts |= _account_ids(missing)
    return accounts


def _account_ids(addresses: Sequence[str]) -> dict[str, int]:
    """Address → id, None where there is no such account."""
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS, [_json(addresses)])
        (ids,) = cursor.fetchone()
    return dict(zip(addresses, ids, strict=True))


def _json(addresses: Sequence[str]) -> str:
    return msgspec.json.encode(addresses).decode()


def _intern_tokens(messages: Collection[Message]) -> dict[str, int]:
    paths = {path: standard for message in messages for path, standard in message.tokens}
    with connection.cursor() as cursor:
        cursor.execute("SELECT path, id FROM tokens WHERE path = ANY(%s)", [list(paths)])
        tokens: dict[str, int] = dict(cursor.fetchall())
        if missing := sorted(paths.keys() - tokens.keys()):
            rows = [(path, *realm_and_key(path), paths[path] and not is_ephemeral(path)) for path in missing]
            cursor.execute(
                "INSERT INTO tokens (path, realm, key, standard)"
                " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])"
                " ON CONFLICT (path) DO NOTHING",
                [list(column) for column in zip(*rows, strict=True)],
            )
            cursor.execute("SELECT path, id FROM tokens WHERE path = ANY(%s)", [missing])
            tokens |= dict(cursor.fetchall())
    return tokens
