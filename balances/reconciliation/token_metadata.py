"""Correcting what tokens are called, for a span of heights, to what its `NewToken` events say. SQL lives here."""

from collections.abc import Sequence

from django.db import connection
from psycopg.types.multirange import Multirange

Row = tuple[int, int, int, str, str, str, int]
"""height, tx_index, event_index, token's path, name, symbol, decimals."""

_CREATE = """
DROP TABLE IF EXISTS pg_temp.reannounced;
CREATE TEMPORARY TABLE reannounced ON COMMIT DROP AS
SELECT block_height, tx_index, event_index, tokens.id AS token_id, said.name, said.symbol, said.decimals
FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::text[], %s::text[], %s::text[], %s::smallint[])
     AS said (block_height, tx_index, event_index, path, name, symbol, decimals)
JOIN tokens USING (path)
"""

_REMOVE = """
DELETE FROM announcements WHERE block_height BETWEEN %s AND %s AND NOT block_height <@ %s::int8multirange
AND NOT EXISTS (
    SELECT FROM reannounced AS said
    WHERE (said.block_height, said.tx_index, said.event_index, said.token_id, said.name, said.symbol, said.decimals)
        = (announcements.block_height, announcements.tx_index, announcements.event_index, announcements.token_id,
           announcements.name, announcements.symbol, announcements.decimals)
) RETURNING (block_height, tx_index, event_index)::text, token_id
"""

_ADD = """
INSERT INTO announcements (block_height, tx_index, event_index, token_id, name, symbol, decimals)
SELECT * FROM reannounced ON CONFLICT (block_height, tx_index, event_index) DO NOTHING
RETURNING (block_height, tx_index, event_index)::text, token_id
"""

# As in balances/ledger/token_metadata.py: the first in chain order names the token. Here there may be none left.
_NAME = """
WITH first AS (
    SELECT DISTINCT ON (token_id) token_id, name, symbol, decimals, count(*) OVER (PARTITION BY token_id) AS number
    FROM announcements WHERE token_id = ANY(%(tokens)s)
    ORDER BY token_id, block_height, tx_index, event_index
)
UPDATE tokens SET name = coalesce(first.name, ''), symbol = coalesce(first.symbol, ''), decimals = first.decimals,
       announcements = coalesce(first.number, 0)
FROM unnest(%(tokens)s::int[]) AS concerned (id) LEFT JOIN first ON first.token_id = concerned.id
WHERE tokens.id = concerned.id
AND (tokens.name, tokens.symbol, tokens.decimals, tokens.announcements)
    IS DISTINCT FROM (coalesce(first.name, ''), coalesce(first.symbol, ''), first.decimals, coalesce(first.number, 0))
RETURNING tokens.id
"""


def correct(
    heights: tuple[int, int], excluded: Multirange[int], announced: Sequence[Row], paths: Sequence[object]
) -> tuple[int, set[int]]:
    """Make `announced` the announcements of `heights`, (first, last) without what is `excluded`, and name these tokens
    and those of `paths` anew.

    Returns how many announcements or names were not as they should be, and the ids of the tokens that it concerns.
    Inside the caller's transaction, the tokens' rows being there.
    """
    columns: list[list[object]] = [list(column) for column in zip(*announced, strict=True)] or [[] for _ in range(7)]
    with connection.cursor() as cursor:
        cursor.execute(_CREATE, columns)
        cursor.execute(_REMOVE, [*heights, excluded])  # type: ignore[list-item]  # psycopg dumps ranges; the stubs know plain values only
        differing: dict[str, int] = dict(cursor.fetchall())
        concerned = set(differing.values())  # of tokens that may be announced no more
        cursor.execute(_ADD)
        added: dict[str, int] = dict(cursor.fetchall())
        cursor.execute("SELECT id FROM tokens WHERE path = ANY(%s)", [list(paths)])
        concerned |= set(added.values()) | {row[0] for row in cursor.fetchall()}
        cursor.execute(_NAME, {"tokens": sorted(concerned)})
        renamed = {row[0] for row in cursor.fetchall()}
    places = differing | added
    return len(places) + len(renamed - set(places.values())), concerned
