"""Correcting the ledger of a span of heights to what its events say by the rules of today. Hand-written SQL lives here.

Inside a transaction that holds `events.ledger_lock` exclusively: no other process writes the ledger meanwhile, so
differences are found by comparing, and only differences are written: transfers, then the balances and totals that they
change, then names.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from django.db import connection

from balances.history import checkpoints
from balances.ledger.deltas import FORGET_BALANCES, MOVE
from balances.reconciliation import token_metadata
from balances.token_flags import is_ephemeral
from blocks.spans import Span
from events.parsing.derivation import Derived
from events.parsing.grc20 import Movement, NewToken, realm_and_key
from postgres.copy import copy_rows
from postgres.fields import height_ranges

_CREATE = """
DROP TABLE IF EXISTS pg_temp.rederived, pg_temp.differing;
CREATE TEMPORARY TABLE rederived (
    block_height bigint, tx_index int, event_index int, token text COLLATE "C",
    from_address text COLLATE "C", to_address text COLLATE "C", amount numeric
) ON COMMIT DROP
"""

_COPY = "COPY rederived FROM STDIN"

# Paths are few; `standard` follows the rules, so it is corrected too.
_TOKENS = """
INSERT INTO tokens AS known (path, realm, key, standard)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bool[])
ON CONFLICT (path) DO UPDATE SET standard = excluded.standard WHERE known.standard <> excluded.standard
"""

_ACCOUNTS = """
INSERT INTO accounts (address)
SELECT DISTINCT address
FROM (SELECT from_address FROM rederived UNION ALL SELECT to_address FROM rederived) AS sides (address)
WHERE address IS NOT NULL AND NOT EXISTS (SELECT FROM accounts WHERE accounts.address = sides.address)
ORDER BY address ON CONFLICT (address) DO NOTHING
"""

# One row for each transfer that is not as it should be; was_… is NULL where it is missing, is_… where it is too many.
_DIFFERING = """
CREATE TEMPORARY TABLE differing ON COMMIT DROP AS
SELECT block_height, tx_index, event_index,
       was.token_id AS was_token, was.from_account_id AS was_from, was.to_account_id AS was_to,
       was.amount AS was_amount,
       is_.token_id AS is_token, is_.from_account_id AS is_from, is_.to_account_id AS is_to, is_.amount AS is_amount
FROM (SELECT * FROM transfers WHERE block_height BETWEEN %s AND %s AND NOT block_height <@ %s::int8multirange) AS was
FULL JOIN (
    SELECT block_height, tx_index, event_index, tokens.id AS token_id, senders.id AS from_account_id,
           recipients.id AS to_account_id, amount
    FROM rederived JOIN tokens ON tokens.path = token
    LEFT JOIN accounts AS senders ON senders.address = from_address
    LEFT JOIN accounts AS recipients ON recipients.address = to_address
) AS is_ USING (block_height, tx_index, event_index)
WHERE (was.token_id, was.from_account_id, was.to_account_id, was.amount)
      IS DISTINCT FROM (is_.token_id, is_.from_account_id, is_.to_account_id, is_.amount)
"""

_COUNT = """
SELECT count(*) FILTER (WHERE was_token IS NULL), count(*) FILTER (WHERE is_token IS NULL),
       count(*) FILTER (WHERE was_token IS NOT NULL AND is_token IS NOT NULL), min(block_height)
FROM differing
"""

_REMOVE = """
DELETE FROM transfers USING differing AS d WHERE d.is_token IS NULL
AND (transfers.block_height, transfers.tx_index, transfers.event_index) = (d.block_height, d.tx_index, d.event_index)
"""

_CHANGE = """
UPDATE transfers SET token_id = is_token, from_account_id = is_from, to_account_id = is_to, amount = is_amount
FROM differing AS d WHERE d.was_token IS NOT NULL AND d.is_token IS NOT NULL
AND (transfers.block_height, transfers.tx_index, transfers.event_index) = (d.block_height, d.tx_index, d.event_index)
"""

_ADD = """
INSERT INTO transfers (block_height, from_account_id, to_account_id, tx_index, event_index, token_id, amount)
SELECT block_height, is_from, is_to, tx_index, event_index, is_token, is_amount
FROM differing WHERE was_token IS NULL
ORDER BY block_height, tx_index, event_index ON CONFLICT (block_height, tx_index, event_index) DO NOTHING
"""

# What was moved is moved back, and what should be is moved; the rest is as when a message is applied.
_MOVE = f"""
WITH moves (token_id, from_account_id, to_account_id, amount, number) AS (
    SELECT was_token, was_from, was_to, -was_amount, -1 FROM differing WHERE was_token IS NOT NULL
    UNION ALL SELECT is_token, is_from, is_to, is_amount, 1 FROM differing WHERE is_token IS NOT NULL
),
{MOVE}"""  # noqa: S608  # both parts are constants of ours

_FORGET_BALANCES = FORGET_BALANCES.format(
    pairs="(SELECT was_token AS token_id, unnest(ARRAY[was_from, was_to]) AS account_id FROM differing GROUP BY 1, 2)"
)

_FORGET_TOTALS = """
DELETE FROM token_totals WHERE token_id = ANY(%s) AND transfers = 0
AND NOT EXISTS (SELECT FROM transfers WHERE transfers.token_id = token_totals.token_id)
"""

_FORGET_TOKENS = """
DELETE FROM tokens WHERE id = ANY(%s) AND announcements = 0
AND NOT EXISTS (SELECT FROM transfers WHERE token_id = tokens.id)
AND NOT EXISTS (SELECT FROM balances WHERE token_id = tokens.id)
"""


class Disturbed(Exception):
    """Somebody wrote the same transfers meanwhile, past the gate; roll back and try again."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """What was not as it should be: transfers and `NewToken` announcements; tokens that it concerned, by id."""

    added: int
    removed: int
    changed: int
    announcements: int
    standards: int
    tokens: frozenset[int]


@dataclass
class Correction:
    """What events say of heights `first` to `last`, taken in part by part, then made so.

    `excluded`: ranges among them of which nothing is known, so that their transfers stay as they are.
    """

    first: int
    last: int
    excluded: Sequence[Span] = ()
    _tokens: dict[str, bool] = field(default_factory=dict, init=False)
    _announced: list[token_metadata.Row] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_CREATE)

    def take(self, derived: Collection[Derived]) -> None:
        """Take in what some of the events say; refused ones are passed over."""
        with copy_rows(_COPY) as copy:
            for height, tx_index, event_index, said, _ in derived:
                if isinstance(said, Movement):
                    self._tokens[said.token] = said.standard
                    sides = said.sender or None, said.recipient or None
                    copy.write_row((height, tx_index, event_index, said.token, *sides, said.amount))
                elif isinstance(said, NewToken):
                    self._tokens.setdefault(said.token, True)
                    place = height, tx_index, event_index
                    self._announced.append((*place, said.token, said.name, said.symbol, said.decimals))

    def make_so(self) -> Corrected:
        """Correct the ledger, in the caller's transaction. Raises `Disturbed`."""
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE pg_temp.rederived")
            rows = [
                (path, *realm_and_key(path), stamped and not is_ephemeral(path))
                for path, stamped in sorted(self._tokens.items())
            ]
            columns: list[list[object]] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], []]
            cursor.execute("SELECT count(*) FROM tokens WHERE path = ANY(%s)", [columns[0]])
            known = cursor.fetchone()[0]
            cursor.execute(_TOKENS, columns)
            standards = cursor.rowcount - (len(rows) - known)
            cursor.execute(_ACCOUNTS)
            excluded = height_ranges([(span.first, span.last) for span in self.excluded])
            cursor.execute(_DIFFERING, [self.first, self.last, excluded])  # type: ignore[list-item]  # psycopg dumps ranges; the stubs know plain values only
            cursor.execute(_COUNT)
            added, removed, changed, lowest = cursor.fetchone()
            cursor.execute("SELECT was_token FROM differing UNION SELECT is_token FROM differing")
            concerned = {row[0] for row in cursor.fetchall()} - {None}
            for statement, expected in ((_REMOVE, removed), (_CHANGE, changed), (_ADD, added)):
                cursor.execute(statement)
                if cursor.rowcount != expected:
                    raise Disturbed(f"transfers of heights {self.first} to {self.last} are being written by others")
            cursor.execute(_MOVE)
            if lowest is not None:
                checkpoints.forget(lowest)
            announcements, named = token_metadata.correct(
                (self.first, self.last), excluded, self._announced, columns[0]
            )
            if removed or changed or announcements:
                touched = sorted(concerned | named)
                cursor.execute(_FORGET_BALANCES)
                cursor.execute(_FORGET_TOTALS, [touched])
                cursor.execute(_FORGET_TOKENS, [touched])
        return Corrected(added, removed, changed, announcements, standards, frozenset(concerned))
