"""Tokens: which ones a spelling means, and what is said of each. Hand-written SQL lives here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.db.models import DecimalField, F, Value
from django.db.models.functions import Coalesce

from balances.models import Token
from balances.queries.errors import BadParameter, shown
from balances.queries.scan_budgets import LOOKED_UP
from balances.queries.staged_query import Row, Stages, run
from balances.token_flags import flags
from balances.token_spellings import ALLOWED, is_possible, sub_realms, with_point

_ZERO = Value(Decimal(0), output_field=DecimalField(max_digits=78, decimal_places=0))


class TokenRow(NamedTuple):
    """A row of the table `tokens`; Django's models take ten times as long to make."""

    id: int
    path: str
    key: str
    realm: str
    standard: bool
    announcements: int
    name: str
    symbol: str
    decimals: int | None


TOKEN = TokenRow._fields
"""Columns of the table `tokens`."""

_SAID = "coalesce(totals.minted - totals.burned, 0), coalesce(totals.transfers, 0), {token}"

# What a text means, when that is one token, with something of its own beside it: a second row of a key, of a realm or
# of its sub-realms is enough to see that it is not.
_ONE = f"""
{{spelled}}
SELECT {_SAID}, {{beside}}
FROM (
    (SELECT * FROM tokens WHERE path = {{text}})
    UNION ALL
    (SELECT * FROM tokens WHERE key = {{text}} AND path <> {{text}} LIMIT 2)
    UNION ALL
    (SELECT * FROM tokens WHERE realm = {{text}} AND key <> {{text}} AND path <> {{text}} LIMIT 2)
    UNION ALL
    (SELECT * FROM tokens WHERE path >= %(sub)s::text AND path < %(past_sub)s::text ORDER BY path LIMIT 2)
) AS token
LEFT JOIN LATERAL (SELECT * FROM token_totals WHERE token_id = token.id OFFSET 0) AS totals ON true {{join}}
"""  # noqa: S608  # our own constant

# A text with a colon is what it says, where there is such a token, and else what it says with a point.
_STORED = " OR ".join(f"EXISTS (SELECT FROM tokens WHERE {column} = {{text}})" for column in ("path", "key", "realm"))
_SPELLED = f"""
WITH spelled AS MATERIALIZED (
    SELECT CASE WHEN {_STORED.format(text="%(text)s")} THEN %(text)s::text ELSE %(point)s::text END AS text
)
"""  # our own constant

# A realm or a key may have any number of tokens: each spelling gives its first ones in order of path. Written as
# ranges, along which PostgreSQL walks by the index: of equality it thinks that few have it, reads them all, and sorts.
# OFFSET 0: what a text means is looked up once, not for each of its tokens.
_MEANT = f"""
SELECT given.position, said.kind, spelled.text, {_SAID}
FROM unnest(%(texts)s::text[], %(points)s::text[], %(subs)s::text[], %(past_subs)s::text[])
     WITH ORDINALITY AS given (text, point, sub, past_sub, position)
CROSS JOIN LATERAL (
    SELECT CASE WHEN given.point IS NULL OR {_STORED.format(text="given.text")}
                THEN given.text ELSE given.point END AS text
    OFFSET 0
) AS spelled
CROSS JOIN LATERAL (
    SELECT CASE WHEN EXISTS (SELECT FROM tokens WHERE path = spelled.text AND realm <> spelled.text) THEN 'path'
                WHEN EXISTS (SELECT FROM tokens WHERE path = spelled.text) THEN 'realm'
                WHEN EXISTS (SELECT FROM tokens WHERE key = spelled.text) THEN 'key' ELSE 'realm' END AS kind
    OFFSET 0
) AS said
CROSS JOIN LATERAL (
    (SELECT * FROM tokens WHERE said.kind = 'path' AND path = spelled.text AND path >= %(first)s)
    UNION ALL
    (SELECT * FROM tokens WHERE said.kind = 'key' AND (key, path) >= (spelled.text, %(first)s) AND key <= spelled.text
     ORDER BY key, path LIMIT %(most)s)
    UNION ALL
    (SELECT * FROM tokens
     WHERE said.kind = 'realm' AND (realm, path) >= (spelled.text, %(first)s) AND realm <= spelled.text
     ORDER BY realm, path LIMIT %(most)s)
    UNION ALL
    (SELECT * FROM tokens
     WHERE said.kind = 'realm' AND path >= given.sub AND path < given.past_sub AND path >= %(first)s
     ORDER BY path LIMIT %(most)s)
) AS token
LEFT JOIN LATERAL (SELECT * FROM token_totals WHERE token_id = token.id OFFSET 0) AS totals ON true
ORDER BY token.path
"""  # noqa: S608  # our own constant


@dataclass(frozen=True, slots=True)
class Resolved:
    """A token that a spelling means: what is said beside its path, minted less burned, the number of its transfers."""

    id: int
    path: str
    standard: bool
    described: dict[str, Any]
    supply: int
    transfers: int

    @property
    def flags(self) -> list[str]:
        flags: list[str] = self.described["flags"]
        return flags


@dataclass(frozen=True, slots=True)
class Meant:
    """The tokens that spellings mean, by path.

    `complete_to`: they are all up to this path, and there are more; None when they are all. `meanings`: what each
    spelling was understood as, "path", "key" or "realm", and the text that this is.
    """

    tokens: list[Resolved]
    complete_to: str | None
    meanings: dict[str, tuple[str, str]]

    @property
    def kinds(self) -> dict[str, list[str]]:
        """The texts that are paths, keys and realms."""
        return {kind: [text for of, text in self.meanings.values() if of == kind] for kind in ("path", "key", "realm")}


def supply() -> Coalesce:
    """Minted less burned, in raw units, of a `Token`; zero for one that never moved."""
    return Coalesce(F("totals__minted") - F("totals__burned"), _ZERO)


def described(token: Token | TokenRow, amount: Decimal) -> dict[str, Any]:
    """What an answer says of a token beside its path; `amount` is its supply."""
    return {
        "name": token.name,
        "symbol": token.symbol,
        "decimals": token.decimals,
        "flags": flags(token, amount),
    }


def resolve(texts: Sequence[str], parameter: str, most: int = LOOKED_UP, first: str = "") -> Meant:
    """What `resolving` finds."""
    return run(resolving(texts, parameter, most, first))


def resolving(texts: Sequence[str], parameter: str, most: int = LOOKED_UP, first: str = "") -> Stages[Meant]:
    """The tokens that `texts` mean, each: the one with this id, else those with this key, else those of this realm.

    A realm means every token of it and of its sub-realms, also when it is a token itself (the older format). At most
    `most` tokens of one text are given, from the path `first` on. None when there is none; raises `BadParameter` of
    `parameter` when there could be none.
    """
    subs = [sub_realms(text) for text in texts]
    rows = yield (
        _MEANT.format(token=columns_of("token")),
        {
            "texts": list(texts),
            "points": [with_point(text) for text in texts],
            "subs": [sub for sub, _ in subs],
            "past_subs": [past_sub for _, past_sub in subs],
            "first": first,
            "most": most + 1,
        },
    )
    found: dict[int, list[Resolved]] = {}
    meanings: dict[str, tuple[str, str]] = {}
    for position, kind, text, held, transfers, *columns in rows:
        of_text = found.setdefault(position, [])
        meanings[texts[position - 1]] = kind, text
        of_text.append(_resolved(held, transfers, TokenRow(*columns)))
    if not first:
        for position, text in enumerate(texts, start=1):
            if position not in found and not is_possible(text):
                raise BadParameter(parameter, f"{shown(text)} is not a token", ALLOWED)
    ends = [of_text[most - 1].path for of_text in found.values() if len(of_text) > most]
    complete_to = min(ends, default=None)
    once = {token.path: token for of_text in found.values() for token in of_text}
    tokens = [once[path] for path in sorted(once) if complete_to is None or path <= complete_to]
    return Meant(tokens, complete_to, meanings)


def resolving_one(
    texts: Sequence[str], *, beside: str, join: str, values: Mapping[str, Any]
) -> Stages[tuple[Meant, list[Row]] | None]:
    """The token that is meant, with the columns `beside` of what is joined to `token`, in one statement.

    Most requests mean one token. None when it is not exactly one: ask `resolving`.
    """
    if len(texts) > 1:
        return None
    (text,) = texts
    point, (sub, past_sub) = with_point(text), sub_realms(text)
    rows = yield (
        _one(beside, join, with_colon=point is not None),
        {**values, "text": text, "point": point, "sub": sub, "past_sub": past_sub},
    )
    width = 2 + len(TOKEN)
    found = {row[2]: (row[0], row[1], TokenRow(*row[2:width])) for row in rows}
    if point is not None and not any(text in each[2][1:4] for each in found.values()):
        text = point
    exact = [each for each in found.values() if each[2].path == text]
    keyed = [each for each in found.values() if each[2].key == text]
    named = exact if exact and exact[0][2].realm != text else keyed if keyed and not exact else list(found.values())
    if len(named) != 1:
        return None
    token = _resolved(*named[0])
    return Meant([token], None, {}), [row[width:] for row in rows if row[2] == token.id]


@lru_cache(maxsize=64)
def _one(beside: str, join: str, *, with_colon: bool) -> str:
    spelled, text = (_SPELLED, "(SELECT text FROM spelled)") if with_colon else ("", "%(text)s")
    return _ONE.format(token=columns_of("token"), beside=beside, join=join, spelled=spelled, text=text)


def _resolved(supply: Decimal, transfers: int, token: TokenRow) -> Resolved:
    return Resolved(token.id, token.path, token.standard, described(token, supply), int(supply), transfers)


def columns_of(table: str) -> str:
    """The columns `TOKEN`, of what a query calls `table`."""
    return ", ".join(f"{table}.{column}" for column in TOKEN)
