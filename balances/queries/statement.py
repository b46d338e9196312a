"""The transfers that made a balance, oldest first, with the balance before and after each; and whether they add up."""

import logging
from dataclasses import dataclass, replace
from typing import Any

from balances.history.statement_sql import PAGE, Part, balances_of
from balances.indexed_height import IndexedHeight
from balances.models import Balance
from balances.queries import transfers
from balances.queries.account_token import find_pair
from balances.queries.as_of import heights
from balances.queries.filters import Period
from balances.queries.page import Page, PageRequest
from postgres.limits import MAX_INT32

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StatementFilters:
    """`token`: a spelling of one token."""

    address: str
    token: str
    period: Period


def statement(wanted: StatementFilters, part: PageRequest) -> Page:
    """A page of the statement, and beside it what was held at the ends of the period and of the page.

    `consistent`: each end that is reached by adding up is what is known of it otherwise, from checkpoints and, at the
    end of all that is indexed, from the balance itself.
    """
    pair = find_pair(wanted.address, wanted.token)
    first, last, indexed_height = heights(wanted.period)
    beside: dict[str, Any] = {"address": pair.address, "tokenPath": pair.path, "fromHeight": first, "toHeight": last}
    if pair.account is None or pair.token is None:
        return Page([], None, beside | _balances(0, 0, 0, 0) | {"consistent": True})
    start, end = (first, -1, -1), (last, MAX_INT32, MAX_INT32)
    asked = Part(pair.account, pair.token.id, first, last, min(max(part.after or start, start), end))
    opening, before, closing = balances_of(asked)
    rows = transfers.told(PAGE, asked.values(part.limit + 1))
    following = _place(rows[part.limit - 1]) if len(rows) > part.limit else None
    rows, after = _run(rows[: part.limit], pair.address, before)
    expected = {balances_of(replace(asked, after=following or end))[1]}
    if following is None:
        expected |= {closing, *_now(asked, indexed_height)}
    if expected != {after}:
        logger.error(
            "Statement does not add up address=%s token=%s from_height=%d to_height=%d reached=%d known=%s",
            pair.address, pair.path, first, last, after, sorted(expected),
        )  # fmt: skip
    beside |= _balances(opening, closing, before, after) | {"consistent": expected == {after}}
    return Page(rows, following, beside)


def _run(rows: list[dict[str, Any]], address: str, balance: int) -> tuple[list[dict[str, Any]], int]:
    told = []
    for row in rows:
        change = row["amount"] * ((row["toAddress"] == address) - (row["fromAddress"] == address))
        told.append(row | {"change": change, "balanceBefore": balance, "balanceAfter": balance + change})
        balance += change
    return told, balance


def _now(asked: Part, indexed_height: IndexedHeight) -> set[int]:
    """The balance that is kept, when the statement ends where everything does."""
    if not asked.last == indexed_height.height == indexed_height.includes_up_to:
        return set()
    kept = Balance.objects.filter(account_id=asked.account, token_id=asked.token).values_list("amount", flat=True)
    return {int(amount) for amount in kept}


def _balances(opening: int, closing: int, before: int, after: int) -> dict[str, Any]:
    return {
        "openingBalance": opening,
        "closingBalance": closing,
        "pageOpeningBalance": before,
        "pageClosingBalance": after,
    }


def _place(row: dict[str, Any]) -> tuple[int, int, int]:
    return row["blockHeight"], row["txIndex"], row["eventIndex"]
