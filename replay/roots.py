"""The root fields: what ``getBlocks``, ``getTransactions``, ``latestBlockHeight`` read, and what subscriptions hear."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo
from graphql.execution import Executor

from replay.chain import Announcement, Chain, Subscribers
from replay.filters import Predicate, Where, compile_where, window
from replay.projection import Reader, compile_projection
from replay.recording import Row

Order = Mapping[str, str]
Bounds = Mapping[str, int | None]


@dataclass
class ListRequest:
    """What one operation works with: the chain, who hears of new blocks, the cap on the rows of a root field, and the
    errors that come beside data."""

    chain: Chain
    subscribers: Subscribers
    cap: int
    errors: list[GraphQLError] = field(default_factory=list)


Info = GraphQLResolveInfo[ListRequest]


@dataclass(frozen=True)
class Answer:
    """A value that is complete as it is: :class:`AnsweringExecutor` looks no further into it."""

    value: Any


class AnsweringExecutor(Executor[Any]):
    """graphql-core's executor, but rows that a root field has projected are taken as they are."""

    def complete_value(
        self, return_type: Any, field_details_list: Any, info: Any, path: Any, result: Any, position_context: Any
    ) -> Any:
        """Complete a value as the schema wants it; an :class:`Answer` already is."""
        if isinstance(result, Answer):
            return result.value
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)


def latest_block_height(_root: None, info: Info) -> int:
    """The tip. Raises the wire's own error for an empty store."""
    tip = info.context.chain.tip
    if tip is None:
        raise GraphQLError("item not found in storage")
    return tip


def get_blocks(_root: None, info: Info, where: Where, order: Order | None = None) -> Answer:
    """The blocks that match ``where``, ascending unless ``order`` says otherwise."""
    asked = info.context
    descending = order is not None and order["height"] == "DESC"
    return _capped(info, where, asked.chain.blocks(window(where, "height"), descending=descending))


def get_transactions(_root: None, info: Info, where: Where, order: Order | None = None) -> Answer:
    """The transactions that match ``where``, by height and index. Raises the wire's error for a hash not there."""
    asked = info.context
    descending = order is not None and order["heightAndIndex"] == "DESC"
    wanted = (where.get("hash") or {}).get("eq")
    rows: Sequence[Row] = []
    if wanted is not None and not where.get("_or"):
        row = asked.chain.transaction_by_hash(wanted)
        if row is None:
            raise GraphQLError("item not found in storage")
        rows = [row]
    elif not window(where, "index").empty:
        rows = asked.chain.transactions(window(where, "block_height"), descending=descending)
    return _capped(info, where, rows)


def older_blocks(_root: None, info: Info, **arguments: Bounds) -> Answer:
    """The deprecated root ``blocks``: height bounds only, both included."""
    return get_blocks(None, info, _block_bounds(arguments["filter"]))


def older_transactions(_root: None, info: Info, **arguments: Bounds) -> Answer:
    """The deprecated root ``transactions``: height bounds only, and one block more than asked, as recorded."""
    return get_transactions(None, info, _transaction_bounds(arguments["filter"], extra=1))


def _capped(info: Info, where: Where, rows: Iterable[Row]) -> Answer:
    """The first rows that match, as asked; null when none does; an error beside them once the cap is reached.

    The cap is looked at before anybody knows whether more would follow, so exactly ``cap`` rows give the error too.
    """
    asked = info.context
    project = compile_projection(info)
    matches = compile_where(where)
    answers: list[Row] = []
    for row in rows:
        if matches(row):
            answers.append(project(row))
            if len(answers) == asked.cap:
                message = f"max elements per query reached ({asked.cap})"
                asked.errors.append(GraphQLError(message, path=info.path.as_list()))
                break
    return Answer(answers or None)


class Feed:
    """The rows a subscription delivers, one by one: those of the blocks that appear from its making on.

    An asynchronous iterator of :class:`Answer`. It listens at once, not only when first asked for a row.
    """

    def __init__(self, subscribers: Subscribers, rows_of: Callable[[Announcement], Iterable[Answer]]) -> None:
        self._subscribers = subscribers
        self._queue = subscribers.join()
        self._rows_of = rows_of
        self._ready: deque[Answer] = deque()

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> Answer:
        while not self._ready:
            self._ready.extend(self._rows_of(await self._queue.get()))
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Stop listening."""
        self._subscribers.leave(self._queue)


def hear_blocks(_root: None, info: Info, where: Where) -> Feed:
    """New blocks that match."""
    matches, project = compile_where(where), compile_projection(info)
    return _feed(info, lambda told: _matching([told.block], matches, project))


def hear_transactions(_root: None, info: Info, where: Where) -> Feed:
    """The transactions of new blocks that match."""
    matches, project = compile_where(where), compile_projection(info)
    return _feed(info, lambda told: _matching(told.transactions, matches, project))


def hear_older_blocks(_root: None, info: Info, **arguments: Bounds) -> Feed:
    """New blocks, through the deprecated root."""
    return hear_blocks(None, info, _block_bounds(arguments["filter"]))


def hear_older_transactions(_root: None, info: Info, **arguments: Bounds) -> Feed:
    """The transactions of new blocks, through the deprecated root."""
    return hear_transactions(None, info, _transaction_bounds(arguments["filter"], extra=0))


def event_itself(event: Answer, _info: Info, **_arguments: Any) -> Answer:
    """What a subscription's field resolves to: the feed has projected the row already."""
    return event


QUERIES: dict[str, Callable[..., Any]] = {
    "latestBlockHeight": latest_block_height,
    "getBlocks": get_blocks,
    "getTransactions": get_transactions,
    "blocks": older_blocks,
    "transactions": older_transactions,
}
SUBSCRIPTIONS: dict[str, Callable[..., Feed]] = {
    "getBlocks": hear_blocks,
    "getTransactions": hear_transactions,
    "blocks": hear_older_blocks,
    "transactions": hear_older_transactions,
}


def _feed(info: Info, rows_of: Callable[[Announcement], Iterable[Answer]]) -> Feed:
    asked = info.context
    return Feed(asked.subscribers, rows_of)


def _matching(rows: Iterable[Row], matches: Predicate, project: Reader) -> Iterable[Answer]:
    return (Answer(project(row)) for row in rows if matches(row))


def _block_bounds(bounds: Bounds) -> Where:
    return _bounds("height", bounds.get("from_height"), bounds.get("to_height"))


def _transaction_bounds(bounds: Bounds, *, extra: int) -> Where:
    high = bounds.get("to_block_height")
    return _bounds("block_height", bounds.get("from_block_height"), None if high is None else high + extra)


def _bounds(name: str, low: int | None, high: int | None) -> Where:
    """Inclusive bounds as a ``where``; 0 and less mean no lower bound."""
    return {name: {"gt": low - 1 if low and low > 0 else None, "lt": None if high is None else high + 1}}
