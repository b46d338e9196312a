"""Following the index: woken by whoever applies transfers, and looking by itself once a second."""

import asyncio
import logging
import threading
from typing import NoReturn

from django.db import Error

from balances.indexed_height import APPLIED, IndexedHeight
from balances.stream import pages
from balances.stream.db_threads import Connections
from balances.stream.hub import Hub
from postgres.connections import renew
from postgres.notifications import AsyncBell
from postgres.outage_log import OutageLog

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""The longest wait for the bell: not everything that moves the indexed height rings it."""
RETRY_SECONDS = 1.0


def first_look(stop: threading.Event) -> IndexedHeight | None:
    """Where the index is when a stream begins; None when `stop` is set first. A database that is away is waited for."""
    outage = _outage()
    while not stop.is_set():
        try:
            indexed_height = pages.look()
        except Error as error:
            outage.met(error)
            renew()
            stop.wait(RETRY_SECONDS)
        else:
            outage.over()
            return indexed_height
    return None


def _outage() -> OutageLog:
    return OutageLog(logger, "Stream waits for the database", "Stream goes on")


async def follow(hub: Hub, own: Connections) -> NoReturn:
    """Bring the hub what is new, for ever. A database that is away is waited for; nothing is passed over.

    `own`: one connection that nobody else uses, so that nobody who reads what is old delays what is new.
    """
    bell = AsyncBell(APPLIED)
    outage = _outage()
    try:
        while True:
            try:
                await bell.listen()
                while await _bring_some(hub, own):
                    pass
                outage.over()
                await bell.wait(LOOK_SECONDS)
            except Error as error:
                outage.met(error)
                await bell.close()
                await asyncio.sleep(RETRY_SECONDS)
    finally:
        await bell.close()


async def _bring_some(hub: Hub, own: Connections) -> bool:
    """Bring the next page; False when there is nothing after it."""
    if len(hub) == 0:
        indexed_height = await own.run(pages.look)
        if len(hub):
            return True  # somebody came meanwhile, to whom what lies between is news
        hub.skip_to(indexed_height)
        return False
    spellings = hub.spellings
    page = await own.run(pages.read_all, hub.head, spellings)
    hub.bring(page, spellings)
    return page.more
