"""The doorbell: a websocket subscription that only says "look now". Rows are never read from it.

A subscription replays nothing, may ring before a block can be read, may repeat and may fall silent; polling goes on
beside it, so losing it only makes the synchronizer slower.
"""

import asyncio
import itertools
import logging
import threading
from collections.abc import Callable, Sequence

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

from blocks.source import queries
from blocks.source.connection_errors import describe
from blocks.source.endpoint_url import EndpointAddress

logger = logging.getLogger(__name__)

# A tx-indexer takes the first protocol that is offered and pings in the older one only, so exactly one is offered.
SUBPROTOCOLS = (WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL, WebsocketsTransport.APOLLO_SUBPROTOCOL)
PING_SECONDS = 10.0
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


class Doorbell:
    """Subscribes to the first endpoint that lets it, in a thread of its own, and calls `ring` for each new block."""

    def __init__(self, addresses: Sequence[EndpointAddress], ring: Callable[[], None]) -> None:
        self._addresses = addresses
        self._ring = ring
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the subscription and the thread; returns within a few seconds."""
        self._stopping = True
        self._loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())
        self._thread.join(timeout=5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._subscribe_for_ever())
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._loop.close()

    async def _subscribe_for_ever(self) -> None:
        pause, reason = FIRST_PAUSE, ""
        for address, subprotocol in itertools.cycle(itertools.product(self._addresses, SUBPROTOCOLS)):
            rings = 0
            try:
                async for _ in self._subscription(address, subprotocol):
                    rings += 1
                    self._ring()
                said = "closed"
            except Exception as error:  # whatever breaks a subscription, polling covers for it until the next try
                said = address.redact(describe(error))
            if self._stopping:  # gql tells of a cancelled connection attempt as of any failed one
                return
            if said != reason or rings:
                name = address.public_name
                logger.info("Subscription lost url=%s subprotocol=%s reason=%s", name, subprotocol, said)
            reason = said
            pause = FIRST_PAUSE if rings else min(LONGEST_PAUSE, pause * 2)
            await asyncio.sleep(pause)

    async def _subscription(self, address: EndpointAddress, subprotocol: str):  # type: ignore[no-untyped-def]  # an async generator of gql's results
        transport = WebsocketsTransport(
            url=address.websocket_url,
            headers=address.headers,
            # Named, or None for none: left to itself, the library decides by rules of its own.
            connect_args={"proxy": address.proxy.url_with_credentials if address.proxy else None},
            subprotocols=[subprotocol],
            connect_timeout=10,
            ack_timeout=10,
            close_timeout=2,
            ping_interval=PING_SECONDS if subprotocol == SUBPROTOCOLS[0] else None,
            pong_timeout=PING_SECONDS if subprotocol == SUBPROTOCOLS[0] else None,
            keep_alive_timeout=3 * PING_SECONDS,
        )
        async with Client(transport=transport, fetch_schema_from_transport=False) as session:
            async for result in session.subscribe(gql(queries.DOORBELL)):
                yield result
