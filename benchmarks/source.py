"""A source that costs as little as Python allows: rows rendered before, joined at a question; latency by option.

Not the replay source (`replay/`), which answers as a tx-indexer does down to its errors: this one only serves the
questions that the synchronizer asks, so that a benchmark measures the synchronizer.
"""

import argparse
import asyncio
import re
import sys
from typing import cast

import uvloop

from benchmarks.chain import Chain, empty_blocks, full_blocks

_WINDOW = re.compile(rb"height:{(?:gt:(\d+),)?lt:(\d+)}")
_EXACT = re.compile(rb"block_height:{eq:(\d+)},index:{(?:gt:(\d+),)?lt:(\d+)}")

_SINGLE = re.compile(rb"(\w+):getBlocks\(where:{height:{eq:(\d+)}}\){[^}]*}")
"""A single block under a name of its own: block 1, a neighbour of the window, one that comes with transactions."""


class Source(asyncio.Protocol):
    """One connection: HTTP/1.1 with keep-alive, a request at a time."""

    def __init__(self, state: "State") -> None:
        self._state = state
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, body = self._buffer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if length and len(body) >= int(length[1]):
            self._buffer = body[int(length[1]) :]
            answer, rows = self._state.answer(body[: int(length[1])])
            delay = self._state.delay(rows)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
        self._transport.writelines([head, answer])


class State:
    """The chain and how slowly it is served: `latency` seconds an answer, `rate` rows a second over all connections."""

    def __init__(self, chain: Chain, latency: float, rate: float) -> None:
        self.chain = chain
        self._latency = latency
        self._rate = rate
        self._busy_until = 0.0

    def delay(self, rows: int) -> float:
        if not self._rate:
            return self._latency
        now = asyncio.get_running_loop().time()
        self._busy_until = max(now, self._busy_until) + rows / self._rate
        return self._busy_until - now + self._latency

    def answer(self, question: bytes) -> tuple[bytes, int]:
        """The JSON of an answer, and how many rows count as the server's work."""
        fields, rows = [], list[bytes]()
        if b"latestBlockHeight" in question:
            fields.append(b'"latestBlockHeight":%d' % (len(self.chain.blocks) - 1))
        for name, height in _SINGLE.findall(question):
            fields.append(b'"%s":[%s]' % (name, b"".join(self.chain.blocks[int(height) : int(height) + 1])))
        question = _SINGLE.sub(b"", question)
        if exact := _EXACT.search(question):
            height, after, before = (int(group or -1) for group in exact.groups())
            rows = self.chain.transactions[height][after + 1 : before]
            fields.append(b'"getTransactions":[%s]' % b",".join(rows))
        elif window := _WINDOW.search(question):
            first, last = int(window[1] or -1) + 1, min(int(window[2]), len(self.chain.blocks))
            if b"heights:getBlocks" in question:
                heights = b",".join(b'{"height":%d}' % height for height in range(first, last))
                fields.append(b'"heights":[%s]' % heights)
            elif b"getBlocks" in question:
                rows = self.chain.blocks[first:last]
                fields.append(b'"getBlocks":[%s]' % b",".join(rows))
            else:
                rows = [row for of in self.chain.transactions[first:last] for row in of]
                fields.append(b'"getTransactions":[%s]' % b",".join(rows))
        return b'{"data":{%s}}' % b",".join(fields), len(rows)


async def serve(state: State, port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Source(state), "127.0.0.1", port)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--transactions", type=int, default=0, help="in each block")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--rate", type=float, default=0.0, help="rows a second, over all connections; 0: no limit")
    options = parser.parse_args()
    make = full_blocks(options.blocks, options.transactions) if options.transactions else empty_blocks(options.blocks)
    uvloop.run(serve(State(make, options.latency, options.rate), options.port))


if __name__ == "__main__":
    main()
