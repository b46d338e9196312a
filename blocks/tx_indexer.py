"""One tx-indexer endpoint over HTTP: sends a question, bounds the wait and the size, and reads the answer."""

import json
import logging
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

import urllib3

from blocks import answers, query
from blocks.answers import AnswerInvalid, AnswerRefused, BlockAnswer, CapReached, TransactionAnswer
from blocks.plan import Page, Span

logger = logging.getLogger(__name__)


class EndpointUnavailable(Exception):
    """The endpoint did not give a usable answer; `retry_after` in seconds when it said how long to wait."""

    def __init__(self, url: str, reason: str, retry_after: float | None = None) -> None:
        super().__init__(f"{url}: {reason}")
        self.retry_after = retry_after


class TooMuch(Exception):
    """The answer would be over the server's cap, the byte budget or the time budget: ask for less."""


@dataclass(frozen=True)
class Limits:
    """`timeout` in seconds for one answer, `max_bytes` of one answer, `connections` open at once."""

    timeout: float
    max_bytes: int
    connections: int


class TxIndexer:
    """A client of one endpoint; safe to use from several threads at once."""

    def __init__(self, url: str, limits: Limits) -> None:
        self.url = url
        self._limits = limits
        self._unknown: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(
            maxsize=limits.connections + 2,  # and room for the questions how far it is, and for a witness
            block=True,
            retries=False,
            timeout=urllib3.Timeout(connect=min(10.0, limits.timeout), read=limits.timeout),
            headers={"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

    @property
    def connections(self) -> int:
        """How many windows may be fetched from it at once."""
        return self._limits.connections

    def tip(self) -> int:
        """The highest height that the server says it has; −1 when it has none. Raises `EndpointUnavailable`."""
        try:
            height = self._ask(lambda without: query.TIP).latestBlockHeight
        except EndpointUnavailable as unavailable:
            if "item not found in storage" in str(unavailable):  # how a server with an empty store says so
                return -1
            raise
        except TooMuch as much:
            raise EndpointUnavailable(self.url, f"no answer to the simplest question: {much}") from None
        if height is None:
            raise EndpointUnavailable(self.url, "latestBlockHeight is null")
        return height

    def blocks(self, span: Span) -> list[BlockAnswer]:
        """Blocks of `span` that the server has, by height. Raises `TooMuch`, `EndpointUnavailable`."""
        return self._ask(lambda without: query.blocks(span.first, span.last, without)).getBlocks or []

    def transactions(self, request: Span | Page) -> list[TransactionAnswer]:
        """Transactions of a span of blocks or of a page of one block. Raises `TooMuch`, `EndpointUnavailable`."""

        def question(without: Collection[str]) -> str:
            if isinstance(request, Page):
                return query.transactions_page(request.height, request.first_index, request.last_index, without)
            return query.transactions(request.first, request.last, without)

        return self._ask(question).getTransactions or []

    def close(self) -> None:
        self._pool.clear()

    def _ask(self, question: Callable[[Collection[str]], str]) -> answers.AnswerData:
        """Ask, and ask again without what the server does not know, as long as the index can live without it."""
        while True:
            without = self._unknown
            try:
                return self._ask_once(question(without))
            except AnswerRefused as refused:
                unknown = query.unknown_field(str(refused))
                if unknown is None or unknown not in query.OPTIONAL or unknown in without:
                    raise EndpointUnavailable(self.url, str(refused)) from None
                with self._lock:
                    if unknown not in self._unknown:
                        logger.warning("Endpoint lacks a field, asking without it url=%s field=%s", self.url, unknown)
                    self._unknown |= {unknown}

    def _ask_once(self, question: str) -> answers.AnswerData:
        status, body, retry_after = self._post(json.dumps({"query": question}).encode())
        if status == 429:
            raise EndpointUnavailable(self.url, "429, too many requests", retry_after or 1.0)
        if status not in (200, 422):
            raise EndpointUnavailable(self.url, f"HTTP {status}", retry_after)
        try:
            return answers.read(body)
        except CapReached as reached:
            raise TooMuch(str(reached)) from None
        except AnswerInvalid as error:
            raise EndpointUnavailable(self.url, f"HTTP {status}: {error}") from None

    def _post(self, body: bytes) -> tuple[int, bytes, float | None]:
        try:
            response = self._pool.request("POST", self.url, body=body, preload_content=False)
            try:
                content = self._read(response)
            finally:
                response.release_conn()
        except urllib3.exceptions.ReadTimeoutError:
            raise TooMuch(f"no answer within {self._limits.timeout:g} s") from None
        except urllib3.exceptions.HTTPError as error:
            raise EndpointUnavailable(self.url, f"{type(error).__name__}: {error}") from None
        retry_after = response.headers.get("Retry-After", "")
        return response.status, content, float(retry_after) if retry_after.isdecimal() else None

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        parts, size = [], 0
        for part in response.stream(1 << 20, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self._limits.max_bytes:
                response.close()
                raise TooMuch(f"an answer of more than {self._limits.max_bytes} bytes")
        return b"".join(parts)
