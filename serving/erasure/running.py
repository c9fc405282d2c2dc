"""Erasing, exporting and searching from a command: beside a server, or in its stead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from recsys.customers import Identifier
from recsys.errors import Unavailable
from serving.clock import Clock
from serving.erasure.export import Exported, held_of, write_export
from serving.erasure.job import Eraser, InThread, Live, Threads
from serving.erasure.ledger import Entry
from serving.erasure.places import Places
from serving.erasure.plants import check_search
from serving.erasure.receipts import Receipt, Receipts
from serving.erasure.search import LIVE, Found, Searched, Told, search_files
from serving.erasure.secret import keys_of
from serving.erasure.sought import Certainty, Sought
from serving.lock import DATA_FOLDER_TAKEN, DataFolderLock
from serving.settings import ServingSettings
from serving.state.address import RedisAddress, parse_redis_url
from serving.state.embedded import EmbeddedValkey
from serving.state.erasing import StateErasing
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state.searching import check_live_search, live_places
from serving.state_server import StateServer

PATIENT = RedisSettings(read_timeout_ms=10_000, connections=8)
"""For jobs, which would rather wait than fail."""
_LOOK_EVERY_S = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Home:
    """The data folder as a command uses it.

    alone: whether it is held by this command; else by a server. address: of the store of states.
    """

    settings: ServingSettings
    places: Places
    keys: StateKeys
    address: RedisAddress
    store: RedisStateStore
    alone: bool

    @property
    def live(self) -> Live:
        """The store, and what takes customers out of it."""
        return Live(self.store, StateErasing(self.store, self.address, self.keys))


@asynccontextmanager
async def home_of(settings: ServingSettings) -> AsyncIterator[Home]:
    """Give the data folder, and stop at the end an embedded server that had to be started."""
    with ExitStack() as stack:
        alone = _taken(settings, stack)
        keys = keys_of(settings)
        server = await StateServer.found(settings)
        store = RedisStateStore(server.address, keys, PATIENT)
        try:
            yield Home(settings, Places.of(settings), keys, server.address, store, alone)
        finally:
            await store.close()
            if alone and server.embedded is not None and server.embedded.started:
                await server.stop()


async def erase(
    home: Home, entry: Entry, told: Callable[[str], None], *, clock: Clock, wait_s: float
) -> Receipt:
    """Do an erasure, or wait until the server did; return the receipt, which may still be open.

    Beside a server the states go at once all the same. Raises Unavailable where the server takes
    longer than `wait_s`; it goes on.
    """
    if home.alone:
        async with eraser_alone(home, clock) as eraser:
            receipts = await eraser.run(told)
        return next(one for one in receipts if one.erasure_id == entry.erasure_id)
    with suppress(Unavailable):  # the server tries again
        await home.live.erasing.forget([entry], all_of_it=True)
    return await _waited(Receipts(home.places.receipts), entry, told, wait_s)


@asynccontextmanager
async def eraser_alone(home: Home, clock: Clock) -> AsyncIterator[Eraser]:
    """Give what erases, in one thread of its own; for the holder of the data folder."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="erasing") as thread:
        runs = in_executor(thread)
        yield Eraser(home.places, home.keys, home.live, Threads(runs, runs), clock=clock)


def in_executor(thread: ThreadPoolExecutor) -> InThread:
    """Return what runs work in an executor's thread."""

    async def run(work: Callable[[], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    return run


async def export(home: Home, identifier: Identifier, out: Path, now: datetime) -> Exported:
    """Write everything known of a customer to a file. Raises Unavailable."""
    held = await held_of(home.places, identifier, store=home.store, keys=home.keys)
    return await asyncio.to_thread(write_export, home.places, held, out, now=now)


async def verify(
    settings: ServingSettings, identifier: Identifier, also: list[Path], told: Told
) -> list[Searched]:
    """Return what is left of an id in all files, and in the live store where one answers.

    The search is tried first on an id of chance, planted in every way a store can hold one. Raises
    Unavailable where it does not find that, or cannot read a file.
    """
    places = Places.of(settings)
    keys = keys_of(settings)
    sought = Sought.of(identifier, keys)
    with TemporaryDirectory(prefix="recsys-plants-") as folder:
        check_search(Path(folder), keys)
    may_hold_hash = [places.receipts, places.ledger]
    found = [
        one
        for folder in (places.data_folder, *also)
        for one in search_files(folder, sought, may_hold_hash=may_hold_hash, told=told)
    ]
    address = _answering(settings)
    return found if address is None else [*found, await _live(address, keys, sought)]


async def _live(address: RedisAddress, keys: StateKeys, sought: Sought) -> Searched:
    store = RedisStateStore(address, keys, PATIENT)
    try:
        await check_live_search(store, keys)
        found = await live_places(store, keys, sought.hashed)
    finally:
        await store.close()
    places = (Found(LIVE, address.shown, where, Certainty.CERTAIN) for where in found)
    return Searched(LIVE, 0, 0, tuple(places))


def _answering(settings: ServingSettings) -> RedisAddress | None:
    """Return the address of the store of states, None where its embedded server does not run."""
    if settings.redis_url:
        return parse_redis_url(settings.redis_url)
    embedded = EmbeddedValkey.running(settings.data_folder)
    return None if embedded is None else embedded.address


async def _waited(
    receipts: Receipts, entry: Entry, told: Callable[[str], None], wait_s: float
) -> Receipt:
    """Return the receipt once the server has done all it can do."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while loop.time() < deadline:
        receipt = await asyncio.to_thread(receipts.read, entry.erasure_id)
        if receipt is not None and (receipt.finished or receipt.waits_for_models):
            return receipt
        told(receipt.stores[-1].store if receipt and receipt.stores else "the server")
        await asyncio.sleep(_LOOK_EVERY_S)
    raise Unavailable(
        "the server that holds the data folder has not finished yet; it goes on. `recsys customers "
        f"erasures` tells when it has: {entry.erasure_id}",
        reason="ERASURE_UNDER_WAY",
    )


def _taken(settings: ServingSettings, stack: ExitStack) -> bool:
    """Return whether the data folder is ours for the length of the stack."""
    try:
        stack.enter_context(DataFolderLock(settings.data_folder))
    except Unavailable as error:
        if error.reason != DATA_FOLDER_TAKEN:
            raise
        return False
    return True
