"""One tx-indexer endpoint over HTTP: sends a question, bounds the wait and the size, and reads the answer."""

import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import urllib3

from blocks.source import payloads, queries
from blocks.source.connection_errors import describe
from blocks.source.endpoint_url import EndpointAddress
from blocks.source.payloads import (
    AnswerInvalid,
    AnswerRefused,
    BlockAnswer,
    CapReached,
    RowsInvalid,
    RowsRefused,
    TransactionAnswer,
)
from blocks.source.request_budget import PATIENCE, KeptBack, RequestBudget
from blocks.spans import Page, Span

logger = logging.getLogger(__name__)

LONGEST_RETRY_AFTER = 3600.0
# A single transaction is read whatever the budget for an answer says: it cannot be asked for in parts.
LARGEST_ROW_BYTES = 256 * 1024 * 1024
_PART_BYTES = 1 << 18
_EMPTY_STORE = "item not found in storage"
"""In the error of a server that has no block yet."""


class EndpointUnavailable(Exception):
    """The endpoint did not give a usable answer; `retry_after` in seconds when it said how long to wait.

    `url` is the endpoint's public name, and `reason` holds no secret of its address.
    """

    def __init__(self, url: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.retry_after = retry_after


class TooMuch(Exception):
    """The answer would be over the server's cap, the byte budget or the time budget: ask for less.

    `partial`: the rows that came before the server's cap, None for the other reasons.
    """

    def __init__(self, reason: str, partial: payloads.AnswerData | None = None) -> None:
        super().__init__(reason)
        self.partial = partial


class Unreadable(Exception):
    """One of the rows asked for cannot be read: ask for fewer until it stands alone."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Rows of an answer, and blocks that identify the chain they came from, where the server has them.

    `first`: block 1. `below` and `above`: the blocks at the heights that were asked for under these names.
    """

    rows: list[BlockAnswer]
    first: BlockAnswer | None
    below: BlockAnswer | None = None
    above: BlockAnswer | None = None


@dataclass(frozen=True, slots=True)
class Heights:
    """Heights of which the server has a block, in order. `complete`: there are no others in the span."""

    rows: list[int]
    complete: bool


@dataclass(frozen=True)
class Limits:
    """`timeout` in seconds for one answer, `max_bytes` of one answer, `connections` open at once."""

    timeout: float
    max_bytes: int
    connections: int


def _pool(address: EndpointAddress, limits: Limits) -> urllib3.PoolManager:
    """Connections to the endpoint, through its proxy if it has one: absolute-form for http, CONNECT for https."""
    options: dict[str, Any] = {
        "maxsize": limits.connections + 2,  # and room for the questions how far it is, and for a witness
        "block": True,
        "retries": False,
        "timeout": urllib3.Timeout(connect=min(10.0, limits.timeout), read=limits.timeout),
        "headers": {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            **address.headers,
        },
    }
    if address.proxy is None:
        return urllib3.PoolManager(**options)
    return urllib3.ProxyManager(address.proxy.url, proxy_headers=address.proxy.headers, **options)


class TxIndexer:
    """A client of one endpoint; safe to use from several threads at once. `url` is its public name, to be shown."""

    def __init__(self, address: EndpointAddress, limits: Limits) -> None:
        self.address = address
        self.url = address.public_name
        self._limits = limits
        self._unknown: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        # Room for the windows, for the questions about the tip, and for a witness.
        self._budget = RequestBudget(limits.connections + 2)
        self._pool = _pool(address, limits)

    @property
    def connections(self) -> int:
        """How many windows may be fetched from it at once."""
        return self._limits.connections

    def tip(self) -> int:
        """The highest height that the server says it has; −1 when it has none. Raises `EndpointUnavailable`."""
        try:
            height = self._ask(lambda without: queries.TIP).latestBlockHeight
        except EndpointUnavailable as unavailable:
            if _EMPTY_STORE in str(unavailable):
                return -1
            raise
        except (TooMuch, Unreadable) as much:
            raise EndpointUnavailable(self.url, f"no answer to the simplest question: {much}") from None
        if height is None:
            raise EndpointUnavailable(self.url, "latestBlockHeight is null")
        return height

    def tip_and_heights(self, span: Span) -> tuple[int, list[int]]:
        """The server's own statement of its highest height, and the heights of `span` of which it has a block.

        Raises `TooMuch`, `EndpointUnavailable`.
        """
        try:
            data = self._ask(lambda without: queries.tip_and_heights(span.first, span.last))
        except EndpointUnavailable as unavailable:
            if _EMPTY_STORE in str(unavailable):
                return -1, []
            raise
        except Unreadable as unreadable:
            raise EndpointUnavailable(self.url, str(unreadable)) from None
        if data.latestBlockHeight is None:
            raise EndpointUnavailable(self.url, "latestBlockHeight is null")
        return data.latestBlockHeight, [row.height for row in data.heights or []]

    def heights(self, span: Span, *, descending: bool = False) -> Heights:
        """The heights of `span` of which the server has a block, up to the server's cap (`Heights.complete`).

        One request, whatever the length of the span. Raises `TooMuch` (over the time budget), `EndpointUnavailable`.
        """
        try:
            data = self._ask(lambda without: queries.heights(span.first, span.last, descending=descending))
        except Unreadable as unreadable:
            raise EndpointUnavailable(self.url, str(unreadable)) from None
        except TooMuch as much:
            if much.partial is None or not much.partial.heights:
                raise
            return Heights([row.height for row in much.partial.heights], complete=False)
        return Heights([row.height for row in data.heights or []], complete=True)

    def blocks(self, span: Span, *, below: int | None = None, above: int | None = None) -> Blocks:
        """Blocks of `span` that the server has, by height, and those at the heights `below` and `above`.

        Raises `TooMuch`, `Unreadable`, `EndpointUnavailable`.
        """
        data = self._ask(lambda without: queries.blocks(span.first, span.last, without, below=below, above=above))
        single = [rows[0] if rows else None for rows in (data.first, data.below, data.above)]
        return Blocks(data.getBlocks or [], *single)

    def transactions(
        self, request: Span | Page, *, like: BlockAnswer | None = None, any_size: bool = False
    ) -> list[TransactionAnswer]:
        """Transactions of a span of blocks or of a page of one block; `any_size`: however large the answer is.

        `like`: a block of the window that they are for. Transactions name no block by its hash, so the block comes with
        them: an address that changed its chain since gives itself away. Raises `TooMuch`, `Unreadable`,
        `EndpointUnavailable`.
        """
        height = None if like is None else like.height

        def question(without: Collection[str]) -> str:
            if isinstance(request, Page):
                indexes = request.first_index, request.last_index
                return queries.transactions_page(request.height, *indexes, without, block=height)
            return queries.transactions(request.first, request.last, without, block=height)

        data = self._ask(question, any_size=any_size)
        if like is not None and data.block and data.block[0].content() != like.content():
            raise EndpointUnavailable(self.url, f"its block {like.height} is another one than a moment ago")
        return data.getTransactions or []

    def close(self) -> None:
        self._pool.clear()

    def _ask(self, question: Callable[[Collection[str]], str], *, any_size: bool = False) -> payloads.AnswerData:
        """Ask, and ask again without what the server does not know, as long as the index can live without it."""
        while True:
            without = self._unknown
            try:
                return self._ask_once(question(without), any_size)
            except AnswerRefused as refused:
                unknown = queries.unknown_field(str(refused))
                if unknown is None or unknown not in queries.OPTIONAL or unknown in without:
                    reason = self.address.redact(str(refused))
                    if isinstance(refused, RowsRefused):
                        raise Unreadable(reason) from None
                    raise EndpointUnavailable(self.url, reason) from None
                with self._lock:
                    if unknown not in self._unknown:
                        logger.warning("Endpoint lacks a field, asking without it url=%s field=%s", self.url, unknown)
                    self._unknown |= {unknown}

    def _ask_once(self, question: str, any_size: bool) -> payloads.AnswerData:
        most = LARGEST_ROW_BYTES if any_size else self._limits.max_bytes
        status, body, retry_after = self._post_within_budget(json.dumps({"query": question}).encode(), most)
        if status == 407:
            raise EndpointUnavailable(self.url, "HTTP 407: the proxy refuses the credentials of its URL", retry_after)
        if status not in (200, 422):
            raise EndpointUnavailable(self.url, f"HTTP {status}", retry_after)
        try:
            return payloads.read(body)
        except CapReached as reached:
            raise TooMuch(self.address.redact(str(reached)), reached.partial) from None
        except RowsInvalid as error:
            raise Unreadable(self.address.redact(str(error))) from None
        except AnswerInvalid as error:
            raise EndpointUnavailable(self.url, f"HTTP {status}: {self.address.redact(str(error))}") from None

    def _post_within_budget(self, body: bytes, most: int) -> tuple[int, bytes, float | None]:
        """Send a request as soon as the endpoint's budget allows; one that is refused for too many is sent again."""
        patience = time.monotonic() + PATIENCE
        while True:
            try:
                with self._budget.request(patience):
                    status, content, retry_after = self._post(body, most)
            except KeptBack as kept:
                raise EndpointUnavailable(self.url, "429, too many requests", kept.seconds) from None
            if status == 429:
                pause = self._budget.refused(retry_after)
                if time.monotonic() + pause > patience:
                    raise EndpointUnavailable(self.url, "429, too many requests", pause)
                logger.info(
                    "Endpoint limits requests url=%s pause_seconds=%.1f requests_at_once=%d",
                    self.url,
                    pause,
                    self._budget.allowed,
                )
                continue
            if status == 503:  # how some proxies refuse for too many, and others for a server that is away
                self._budget.refused(retry_after)
            elif status == 200:
                self._budget.answered()
            return status, content, retry_after

    def _post(self, body: bytes, most: int) -> tuple[int, bytes, float | None]:
        deadline = time.monotonic() + self._limits.timeout
        try:
            response = self._pool.request("POST", self.address.request_url, body=body, preload_content=False)
            try:
                content = self._read(response, deadline, most)
            finally:
                response.release_conn()
        except urllib3.exceptions.ReadTimeoutError:
            raise TooMuch(f"no answer within {self._limits.timeout:g} s") from None
        except urllib3.exceptions.HTTPError as error:
            raise EndpointUnavailable(self.url, self.address.redact(describe(error))) from None
        retry_after = response.headers.get("Retry-After", "")
        wait = min(float(retry_after), LONGEST_RETRY_AFTER) if retry_after.isdecimal() else None
        return response.status, content, wait

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float, most: int) -> bytes:
        """The whole body; the time budget is for all of it, however it trickles."""
        parts, size = [], 0
        while part := response.read1(_PART_BYTES, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > most:
                response.close()
                raise TooMuch(f"an answer of more than {most} bytes")
            if time.monotonic() > deadline:
                response.close()
                raise TooMuch(f"no whole answer within {self._limits.timeout:g} s")
        return b"".join(parts)
