"""Customers' states for a job: beside the server that keeps them, or in its stead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass

from recsys.errors import Unavailable
from serving.catch_up import CatchUp
from serving.erasure.gate import gate_of
from serving.erasure.secret import keys_of
from serving.lock import DATA_FOLDER_TAKEN, DataFolderLock
from serving.settings import ServingSettings
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state_server import StateServer

READ_TIMEOUT_MS = 10_000

Told = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@dataclass(frozen=True, slots=True)
class JobState:
    """The states of all customers.

    alone: whether the data folder is held by this job; else a server holds it and applies events.
    """

    store: RedisStateStore
    keys: StateKeys
    catch_up: CatchUp
    alone: bool

    async def bring_up_to_date(self, told: Told) -> None:
        """Return once the states hold all that the log holds now. Raises Unavailable."""
        if self.alone:
            await self.catch_up.run(lambda done, of: told("catching up", done, of))
        else:
            await self.catch_up.wait_for_server(
                lambda done, of: told("waiting for the server", done, of)
            )


@asynccontextmanager
async def state_for_job(settings: ServingSettings) -> AsyncIterator[JobState]:
    """Give the states, and stop at the end an embedded server that had to be started for it."""
    with ExitStack() as stack:
        alone = _takes_folder(settings, stack)
        keys = keys_of(settings)
        server = await StateServer.found(settings)
        patience = RedisSettings(
            read_timeout_ms=READ_TIMEOUT_MS,
            connections=8,
            unless_stated=settings.allowed_unless_refused,
        )
        store = RedisStateStore(server.address, keys, patience)
        try:
            gate = gate_of(settings)
            async with CatchUp(settings.log_file, settings.lake_folder, store, gate) as catch_up:
                yield JobState(store, keys, catch_up, alone)
        finally:
            await store.close()
            if alone and server.embedded is not None and server.embedded.started:
                await server.stop()


def _takes_folder(settings: ServingSettings, stack: ExitStack) -> bool:
    """Return whether the data folder is ours for the length of the stack; else a server has it."""
    try:
        stack.enter_context(DataFolderLock(settings.data_folder))
    except Unavailable as error:
        if error.reason != DATA_FOLDER_TAKEN:
            raise
        return False
    return True
