"""The picks job: one placement for many customers, through the recommender that serves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from recsys.catalog import Catalog
from recsys.errors import InvalidInput, NotFound, NotReady, Unavailable
from recsys.ids import check_id
from recsys.pipeline.placement import read_placements
from recsys.query import Query, Recommendation, RecommendedItem, Tier
from serving.campaigns.files import CustomerPicks, Pick, picks_file
from serving.catch_up import CatchUp
from serving.clock import Clock
from serving.lock import DATA_FOLDER_TAKEN, DataFolderLock
from serving.log.replay import recent_customers
from serving.recommender import Recommender, no_release, unknown_placement
from serving.releases import ReleaseFolder
from serving.settings import ServingSettings
from serving.snapshot import Snapshot
from serving.state.keys import Secret, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from serving.state_server import StateServer

DEFAULT_CUSTOMERS = 100
READ_TIMEOUT_MS = 10_000
LONGEST_WAIT_S = 60.0
_LOOK_EVERY_S = 0.2

Told = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""


@dataclass(frozen=True, slots=True)
class PicksJob:
    """What to write.

    placement: whose lists. out: a CSV file, or JSON Lines where it ends in .jsonl.
    users: file of ids, one a line; None means the customers seen last.
    limit: most customers; 0 means all of the file, or 100 of those seen last.
    """

    placement: str
    out: Path
    users: Path | None = None
    limit: int = 0


@dataclass(frozen=True, slots=True)
class PickCounts:
    """What was written: customers in all, those of them nothing is known of, and items."""

    customers: int
    unknown: int
    items: int
    release: str

    def more(self, answers: Sequence[Recommendation]) -> Self:
        """Return the counts with these answers added."""
        return replace(
            self,
            customers=self.customers + len(answers),
            unknown=self.unknown + sum(answer.tier is Tier.POPULAR for answer in answers),
            items=self.items + sum(len(answer.items) for answer in answers),
        )


@dataclass(frozen=True, slots=True)
class Held:
    """Holds one snapshot for the length of a job."""

    snapshot: Snapshot


async def write_picks(
    settings: ServingSettings, job: PicksJob, clock: Clock, told: Told
) -> PickCounts:
    """Write the file and return its counts; there is no file unless it is whole.

    Raises NotReady without a release or customers, NotFound for an unknown placement, Unavailable
    when states cannot be read: nobody gets a list that ignores what they did.
    """
    snapshot = await asyncio.to_thread(_snapshot, settings, job.placement)
    users = await asyncio.to_thread(_audience, settings, job)
    async with _states(settings, told) as (store, keys):
        recommender = Recommender(
            Held(snapshot), store, keys, chance=secrets.token_bytes, batch_size=settings.batch_size
        )
        counts = PickCounts(0, 0, 0, snapshot.bundle.version)
        with picks_file(job.out, snapshot.pipelines[job.placement].size) as write:
            for start in range(0, len(users), settings.batch_size):
                batch = users[start : start + settings.batch_size]
                found = await recommender.recommend_batch(_queries(batch, job, clock))
                _check_whole(found)
                for user, answer in zip(batch, found, strict=True):
                    write(_picks(user, answer, snapshot.bundle.catalog))
                counts = counts.more(found)
                told("choosing", counts.customers, len(users))
    return counts


def _snapshot(settings: ServingSettings, placement: str) -> Snapshot:
    """Return the served release. Raises NotReady, NotFound, CorruptBundle."""
    folder = ReleaseFolder(settings.releases_folder)
    placements = read_placements(settings.placements_file)
    if placement not in placements:
        raise unknown_placement(placement, placements)
    pointer = folder.pointer()
    if pointer is None:
        raise no_release()
    return Snapshot.of(folder.load(pointer.version), placements)


def _audience(settings: ServingSettings, job: PicksJob) -> Sequence[str]:
    """Return the customers to choose for, each once."""
    if job.users is None:
        users = recent_customers(settings.lake_folder, job.limit or DEFAULT_CUSTOMERS)
    else:
        users = _read_ids(job.users)[: job.limit or None]
    if not users:
        raise NotReady(
            "there is no customer to choose for: import events that have a user_id, or name a "
            "file of ids with --users",
            reason="NO_CUSTOMERS",
        )
    return users


def _read_ids(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error}", reason="FILE_NOT_FOUND") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), str(error), "a file of ids in UTF-8, one a line") from error
    ids = {line.strip(): number for number, line in enumerate(lines, start=1) if line.strip()}
    for text, number in ids.items():
        check_id(f"{path}:{number}", text)
    return list(ids)


def _queries(users: Sequence[str], job: PicksJob, clock: Clock) -> list[Query]:
    now = clock()
    return [Query(job.placement, now, user_id=user) for user in users]


def _check_whole(answers: Sequence[Recommendation]) -> None:
    if any(answer.degraded for answer in answers):
        raise Unavailable(
            "customers' states cannot be read just now, so no picks are written; see that Redis "
            "runs, and try again",
            reason="STATE_UNAVAILABLE",
        )


def _picks(user_id: str, answer: Recommendation, catalog: Catalog) -> CustomerPicks:
    rows = catalog.vocabulary.rows(answer.item_ids).tolist()
    picks = [_pick(item, row, catalog) for item, row in zip(answer.items, rows, strict=True)]
    return CustomerPicks(user_id, picks, answer.attribution_token)


def _pick(item: RecommendedItem, row: int, catalog: Catalog) -> Pick:
    price = float(catalog.prices[row])
    return Pick(
        item.item_id,
        item.title,
        catalog.urls[row],
        catalog.image_urls[row],
        None if np.isnan(price) else price,
        item.reason.text,
    )


@asynccontextmanager
async def _states(
    settings: ServingSettings, told: Told
) -> AsyncIterator[tuple[RedisStateStore, StateKeys]]:
    """Give the customers' states, up to date with the log as it is now.

    A running server keeps them so; without one this job stands in for it, and stops at its end
    the embedded server that it started.
    """
    with ExitStack() as stack:
        alone = _takes_folder(settings, stack)
        keys = StateKeys(Secret.load_or_create(settings.secret_file))
        server = await StateServer.found(settings)
        store = RedisStateStore(
            server.address, keys, RedisSettings(read_timeout_ms=READ_TIMEOUT_MS, connections=8)
        )
        try:
            async with CatchUp(settings.log_file, settings.lake_folder, store) as catch_up:
                if alone:
                    await catch_up.run(lambda done, of: told("catching up", done, of))
                else:
                    await _wait_for_server(catch_up, store, told)
            yield store, keys
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


async def _wait_for_server(catch_up: CatchUp, store: RedisStateStore, told: Told) -> None:
    """Return once the running server has applied what the log holds now."""
    last, waited = await catch_up.last_position(), 0.0
    while (applied := await store.applied_through() or 0) < last:
        if waited >= LONGEST_WAIT_S:
            raise Unavailable(
                "the server that holds the data folder does not bring customers' states up to "
                "date; look at what it says, or stop it and try again",
                reason="STATE_BEHIND",
            )
        told("waiting for the server", applied, last)
        await asyncio.sleep(_LOOK_EVERY_S)
        waited += _LOOK_EVERY_S
