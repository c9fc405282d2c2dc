"""The picks job: one placement for many customers, through the recommender that serves."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from recsys.catalog import Catalog
from recsys.customers import IdKind
from recsys.errors import NotReady, Unavailable
from recsys.pipeline.pages import unknown_placement
from recsys.pipeline.placement import read_placements
from recsys.query import Query, Recommendation, RecommendedItem, Tier
from serving.campaigns.files import CustomerPicks, Pick, picks_file
from serving.clock import Clock
from serving.id_files import read_ids
from serving.lake.recent import recent_customers
from serving.recommender import Recommender
from serving.releases import no_release
from serving.rules.preview import Held
from serving.rules.shop import snapshot_of_now
from serving.settings import ServingSettings
from serving.snapshot import Snapshot
from serving.standing_in import JobState, Told, state_for_job

DEFAULT_CUSTOMERS = 100


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
    """What was written: customers in all, those of them nothing is known of, and items.

    unsubscribed: customers left out, since they have not agreed to e-mails, or no more.
    """

    customers: int
    unknown: int
    items: int
    unsubscribed: int
    release: str

    def more(self, answers: Sequence[Recommendation], unsubscribed: int) -> Self:
        """Return the counts with these answers, and customers left out, added."""
        return replace(
            self,
            customers=self.customers + len(answers),
            unknown=self.unknown + sum(answer.tier is Tier.POPULAR for answer in answers),
            items=self.items + sum(len(answer.items) for answer in answers),
            unsubscribed=self.unsubscribed + unsubscribed,
        )


async def write_picks(
    settings: ServingSettings, job: PicksJob, clock: Clock, told: Told
) -> PickCounts:
    """Write the file and return its counts; there is no file unless it is whole.

    Raises NotReady without a release or customers, NotFound for an unknown placement, Unavailable
    when states cannot be read: nobody gets a list that ignores what they did.
    """
    snapshot = await asyncio.to_thread(_snapshot, settings, job.placement)
    users = await asyncio.to_thread(_audience, settings, job)
    async with state_for_job(settings) as state:
        await state.bring_up_to_date(told)
        recommender = _recommender(settings, snapshot, state)
        counts = PickCounts(0, 0, 0, 0, snapshot.bundle.version)
        with picks_file(job.out, snapshot.pipelines[job.placement].size) as write:
            for start in range(0, len(users), settings.batch_size):
                asked = users[start : start + settings.batch_size]
                batch = await _subscribed(asked, state)
                found = await _whole_answers(recommender, _queries(batch, job, clock))
                for user, answer in zip(batch, found, strict=True):
                    write(_picks(user, answer, snapshot.bundle.catalog))
                counts = counts.more(found, unsubscribed=len(asked) - len(batch))
                told("choosing", start + len(asked), len(users))
    return counts


def _recommender(settings: ServingSettings, snapshot: Snapshot, state: JobState) -> Recommender:
    """Return what chooses from one snapshot."""
    return Recommender(
        Held(snapshot),
        state.store,
        state.keys,
        chance=secrets.token_bytes,
        batch_size=settings.batch_size,
        languages=settings.spoken_languages(),
    )


def _snapshot(settings: ServingSettings, placement: str) -> Snapshot:
    """Return the served release over the catalog of this moment.

    Raises NotReady, NotFound, CorruptBundle, Unavailable.
    """
    placements = read_placements(settings.placements_file)
    if placement not in placements:
        raise unknown_placement(placement, placements)
    snapshot = snapshot_of_now(settings)
    if snapshot is None:
        raise no_release()
    return snapshot


def _audience(settings: ServingSettings, job: PicksJob) -> Sequence[str]:
    """Return the customers to choose for, each once."""
    if job.users is None:
        limit = job.limit or DEFAULT_CUSTOMERS
        users = recent_customers(settings.log_file, settings.lake_folder, limit)
    else:
        users = read_ids(job.users)[: job.limit or None]
    if not users:
        raise NotReady(
            "there is no customer to choose for: import events that have a user_id, or name a "
            "file of ids with --users",
            reason="NO_CUSTOMERS",
        )
    return users


async def _subscribed(users: Sequence[str], state: JobState) -> list[str]:
    """Return those of the customers who may be written to. Raises Unavailable."""
    keys = [[state.keys.customer(IdKind.USER, user)] for user in users]
    known = await state.store.known(keys)
    return [user for user, one in zip(users, known, strict=True) if one.email]


def _queries(users: Sequence[str], job: PicksJob, clock: Clock) -> list[Query]:
    now = clock()
    return [Query(job.placement, now, user_id=user) for user in users]


async def _whole_answers(
    recommender: Recommender, queries: Sequence[Query]
) -> Sequence[Recommendation]:
    """Return the answers. Raises Unavailable where one does not know its customer."""
    answers = await recommender.recommend_batch(queries)
    if any(answer.degraded for answer in answers):
        raise Unavailable(
            "customers' states cannot be read just now, so no picks are written; see that Redis "
            "runs, and try again",
            reason="STATE_UNAVAILABLE",
        )
    return answers


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
