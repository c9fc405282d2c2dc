"""What the children of the nursery do until they are killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from pathlib import Path
from random import Random

from serving.catch_up import CatchUp
from serving.clock import utc_now
from serving.ingest import Ingest
from serving.lake.drain import Drain
from serving.lake.lake import Lake
from serving.log.sqlite_log import SqliteLog
from serving.log.tail import LogTail
from serving.state.address import parse_redis_url
from tests.faults import script
from tests.faults.checker import ACKNOWLEDGED, SENT
from tests.faults.disk import Disk
from tests.faults.operations import KillsAt
from tests.faults.place import Place, events, ids
from tests.faults.states import store_at

_WRITERS = 3
_MOST_EVENTS = 40


class JournalFile:
    """A client's own record, one line a call; what is written survives the writer's death."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def note(self, word: str, some: Collection[str]) -> None:
        """Add one line: a word, then ids."""
        os.write(self._file, f"{word} {' '.join(some)}\n".encode())


def ingest(folder: str, journal: str, name: str, seed: int, redis_url: str, prefix: str) -> None:
    """Take in events from several clients at once, for good; note each call's beginning and end.

    Now and then a client sends its last batch again, as one that saw no answer would.
    """
    asyncio.run(_ingesting(Path(folder), Path(journal), f"{name}-", seed, redis_url, prefix))


def keep_up(folder: str, redis_url: str, prefix: str) -> None:
    """Drain, apply and trim for good."""
    asyncio.run(_keeping_up(Place(Path(folder)), redis_url, prefix))


def scripted(folder: str, journal: str, n: int) -> None:
    """Live through the script and die in place of the n-th operation on the disk."""
    place, notes = Place(Path(folder)), JournalFile(Path(journal))
    with Disk(place.path, KillsAt(n)):
        script.run(place, lambda some: notes.note(ACKNOWLEDGED, some))


async def _ingesting(
    folder: Path, journal: Path, name: str, seed: int, redis_url: str, prefix: str
) -> None:
    log = SqliteLog(Place(folder).log_file, clock=utc_now)
    sink = Ingest(log, store_at(parse_redis_url(redis_url), prefix), utc_now)
    clients = [
        _client(sink, JournalFile(journal), f"{name}{one}-", Random(seed * _WRITERS + one))
        for one in range(_WRITERS)
    ]
    await asyncio.gather(*clients)


async def _client(sink: Ingest, journal: JournalFile, name: str, rng: Random) -> None:
    first = 0
    while True:
        last = first + rng.randrange(_MOST_EVENTS)
        some = events(first, last, name)
        journal.note(SENT, ids(some))
        await sink.write(some, [])
        journal.note(ACKNOWLEDGED, ids(some))
        if rng.random() > 0.1:
            first = last + 1


async def _keeping_up(place: Place, redis_url: str, prefix: str) -> None:
    store = store_at(parse_redis_url(redis_url), prefix)
    tail, lake = LogTail(place.log_file), Lake(place.lake)
    lake.open()
    drain = Drain(tail, lake)
    async with CatchUp(place.log_file, place.lake, store) as catch_up:
        while True:
            list(drain.run())
            drain.trim(await catch_up.run(lambda done, of: None))
            await asyncio.sleep(0.01)
