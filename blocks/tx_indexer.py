"""One tx-indexer endpoint over HTTP: sends a question, bounds the wait and the size, and reads the answer."""

import json
from dataclasses import dataclass

import urllib3

from blocks import answers, query
from blocks.answers import AnswerInvalid, AnswerRefused, BlockAnswer, CapReached, TransactionAnswer
from blocks.plan import Page, Span


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
        self._pool = urllib3.PoolManager(
            maxsize=limits.connections,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(connect=min(10.0, limits.timeout), read=limits.timeout),
            headers={"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

    def tip(self) -> int:
        """The highest height that the server says it has; −1 when it has none. Raises `EndpointUnavailable`."""
        try:
            height = self._ask(query.TIP).latestBlockHeight
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
        return self._ask(query.blocks(span.first, span.last)).getBlocks or []

    def transactions(self, request: Span | Page) -> list[TransactionAnswer]:
        """Transactions of a span of blocks or of a page of one block. Raises `TooMuch`, `EndpointUnavailable`."""
        if isinstance(request, Page):
            question = query.transactions_page(request.height, request.first_index, request.last_index)
        else:
            question = query.transactions(request.first, request.last)
        return self._ask(question).getTransactions or []

    def close(self) -> None:
        self._pool.clear()

    def _ask(self, question: str) -> answers.AnswerData:
        status, body, retry_after = self._post(json.dumps({"query": question}).encode())
        if status == 429:
            raise EndpointUnavailable(self.url, "429, too many requests", retry_after or 1.0)
        if status not in (200, 422):
            raise EndpointUnavailable(self.url, f"HTTP {status}", retry_after)
        try:
            return answers.read(body)
        except CapReached as reached:
            raise TooMuch(str(reached)) from None
        except (AnswerInvalid, AnswerRefused) as error:
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
