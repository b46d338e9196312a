"""What tokens are called: the first `NewToken` in chain order names a token, a second one casts doubt on it."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from django.db import connection

_INSERT = """
INSERT INTO announcements (block_height, tx_index, event_index, token_id, name, symbol, decimals)
SELECT * FROM unnest(%s::bigint[], %s::int[], %s::int[], %s::int[], %s::text[], %s::text[], %s::smallint[])
ON CONFLICT (block_height, tx_index, event_index) DO NOTHING
"""

# Derived from all announcements of a token rather than added up, so their order of arrival does not matter.
_NAME = """
WITH first AS (
    SELECT DISTINCT ON (token_id) token_id, name, symbol, decimals, count(*) OVER (PARTITION BY token_id) AS number
    FROM announcements WHERE token_id = ANY(%(tokens)s)
    ORDER BY token_id, block_height, tx_index, event_index
)
UPDATE tokens SET name = first.name, symbol = first.symbol, decimals = first.decimals, announcements = first.number
FROM first WHERE tokens.id = first.token_id
"""


@dataclass(frozen=True, slots=True)
class Announced:
    """A `NewToken` with its position in the chain; `token` is the interned id."""

    height: int
    tx_index: int
    event_index: int
    token: int
    name: str
    symbol: str
    decimals: int


def announce(announced: Sequence[Announced]) -> None:
    """Store announcements that are new and name their tokens, inside the caller's database transaction."""
    if not announced:
        return
    columns = [list(column) for column in zip(*map(astuple, announced), strict=True)]
    tokens = sorted({one.token for one in announced})
    with connection.cursor() as cursor:
        # Locked before inserting: two processors that name one token must not each miss the other's announcement.
        cursor.execute("SELECT 1 FROM tokens WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [tokens])
        cursor.execute(_INSERT, columns)
        cursor.execute(_NAME, {"tokens": tokens})
