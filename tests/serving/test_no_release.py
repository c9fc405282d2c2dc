"""Answers before anything was learned: made of the catalog alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from recsys.arrays import keys_of
from recsys.errors import NotReady
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.items import Item, Removal
from recsys.models.trends import Activity, Trends
from recsys.pipeline.alone import fills_up
from recsys.pipeline.placement import (
    DEFAULT_PLACEMENTS,
    PlacementConfig,
    parse_placements,
    read_placements,
)
from recsys.query import Page, ReasonCode, Scene
from recsys.releases import move_pointer
from recsys.rules.book import RuleBook
from recsys.rules.rule import Rule, RuleKind
from serving.follow import CatalogFollower
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.recommender import Recommender
from serving.releases import ReleaseFolder
from serving.snapshot import Snapshot, SnapshotKeeper
from tests import shop
from tests.serving.test_recommender import KEYS, KnownStates, asked_by
from tests.serving.test_snapshot import publish

PLACEMENTS = parse_placements(shop.PLACEMENTS)
NEWEST_FIRST = ("tea", "sponge", "soap", "sugar", "milk", "coffee", "jam", "butter", "bread")
"""All of the shop that is for sale, when each item was described a minute after the other."""


def _same(now: datetime) -> datetime:
    return now


@dataclass
class House:
    """A log, a release folder, and what a worker makes of them."""

    folder: Path
    keeper: SnapshotKeeper
    follower: CatalogFollower
    minutes: int = 0

    @property
    def releases(self) -> Path:
        return self.folder / "releases"

    def describe(self, *changes: Item | Removal) -> None:
        """Say what is true of items, a minute after what was said before."""
        for change in changes:
            self.minutes += 1
            now = shop.NOW - timedelta(days=1) + timedelta(minutes=self.minutes)
            writer = Writer(self.folder / "log.sqlite", clock=partial(_same, now))
            writer.change_items([change])
            writer.close()

    async def until_known(self, n_items: int = len(shop.ITEMS)) -> Snapshot:
        """Return what is served once so many items are known."""
        async with asyncio.timeout(10):
            while True:
                snapshot = self.keeper.snapshot
                if snapshot is not None and len(snapshot.bundle.catalog) >= n_items:
                    return snapshot
                await asyncio.sleep(0.005)

    def another_keeper(
        self, placements: Mapping[str, PlacementConfig] = PLACEMENTS
    ) -> SnapshotKeeper:
        """Return the keeper of a worker that starts now."""
        folder = ReleaseFolder(self.releases)
        follower = self.follower.overlaid
        return SnapshotKeeper(folder, placements, lambda: shop.NOW, overlaid=follower)

    def asking(self, states: KnownStates | None = None) -> Recommender:
        return Recommender(self.keeper, states or KnownStates(), KEYS, chance=bytes)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Give a shop without release and items, whose log is followed."""
    async with following(tmp_path) as one:
        yield one


@asynccontextmanager
async def following(
    folder: Path, placements: Mapping[str, PlacementConfig] = PLACEMENTS
) -> AsyncIterator[House]:
    (folder / "releases").mkdir()
    Writer(folder / "log.sqlite", clock=lambda: shop.NOW).close()
    follower = CatalogFollower(
        lambda: LogTail(folder / "log.sqlite"), placements, lambda: shop.NOW, interval_s=0.01
    )
    releases = ReleaseFolder(folder / "releases")
    keeper = SnapshotKeeper(releases, placements, lambda: shop.NOW, overlaid=follower.overlaid)
    await keeper.check()
    task = asyncio.create_task(keeper.keep_publishing(follower.snapshots()))
    try:
        yield House(folder, keeper, follower)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await follower.close()


async def test_shop_without_release_and_items_has_nothing_to_say(house: House) -> None:
    with pytest.raises(NotReady) as refused:
        await house.asking().recommend(asked_by("anna"))

    assert refused.value.reason == "NO_RELEASE"


async def test_shop_without_release_shows_what_it_described_last(house: House) -> None:
    house.describe(*shop.items())
    await house.until_known()

    answer = await house.asking().recommend(asked_by("anna", limit=20))

    assert answer.item_ids == NEWEST_FIRST
    assert (answer.degraded, answer.bundle_version) == ("NO_RELEASE", "")
    assert {one.reason.code for one in answer.items} == {ReasonCode.NEW}
    assert answer.items[0].title == "Tea"


async def test_shop_whose_items_may_not_be_shown_has_nothing_to_say(house: House) -> None:
    cake = shop.items()[shop.ROW[shop.SOLD_OUT]]
    house.describe(cake)
    await asyncio.sleep(0.1)
    hidden = house.keeper.snapshot

    house.describe(replace(cake, available=True))
    served = await house.until_known(1)

    assert hidden is None
    assert served.bundle.version == ""


async def test_newest_item_is_shown_first_and_what_is_removed_no_more(house: House) -> None:
    house.describe(*shop.items())
    before = await house.until_known()
    house.describe(Item(ItemId("rye"), "Rye"), Removal(ItemId("tea")))
    await house.until_known(len(shop.ITEMS) + 1)
    async with asyncio.timeout(10):
        while True:
            answer = await house.asking().recommend(asked_by("x"))
            if "tea" not in answer.item_ids:
                break
            await asyncio.sleep(0.005)

    assert house.keeper.snapshot is not before
    assert answer.item_ids == ("rye", "sponge", "soap", "sugar")


async def test_filters_slots_and_what_a_customer_did_hold_without_a_release(house: House) -> None:
    house.describe(*shop.items())
    await house.until_known()
    states = KnownStates({"anna": shop.state((EventType.HIDE, "sponge", 1.0))})
    slots = (
        asked_by("anna", limit=3, seeds=(ItemId("soap"),)),
        asked_by("anna", filter='category = "Dairy"', item_fields=("price",)),
    )

    newest, dairy = await house.asking(states).recommend_page(Page(slots, slotted=True))

    assert newest.item_ids == ("tea", "sugar", "milk")
    assert dairy.item_ids == ("butter",)
    assert newest.degraded == dairy.degraded == "NO_RELEASE"


async def test_rules_hold_without_a_release(house: House) -> None:
    house.describe(*shop.items())
    snapshot = await house.until_known()
    pin = Rule("bread-first", RuleKind.PIN, item="bread", position=1)
    await house.keeper.publish(snapshot.ruled(RuleBook.of([pin])))

    answer = await house.asking().recommend(asked_by("anna"))

    assert answer.item_ids == ("bread", "tea", "sponge", "soap")


async def test_item_is_explained_without_a_release(house: House) -> None:
    house.describe(*shop.items())
    await house.until_known()

    found = await house.asking().explain(Page((asked_by("anna"),)), ItemId("tea"))

    assert (found.listed, found.degraded, found.bundle_version) == (True, "NO_RELEASE", "")


async def test_page_in_a_hurry_gets_the_catalog_too(house: House) -> None:
    house.describe(*shop.items())
    await house.until_known()

    answer = await house.asking().recommend(asked_by("anna"), within_s=0.0)

    assert answer.item_ids == NEWEST_FIRST[:4]
    assert answer.degraded == "NO_RELEASE"


async def test_every_shipped_placement_answers_without_a_release(house: House) -> None:
    house.describe(*shop.items())
    known = await house.until_known()
    placements = read_placements(DEFAULT_PLACEMENTS)
    await house.keeper.publish(Snapshot.of(known.bundle, placements))

    answers = await house.asking().recommend_batch(
        [asked_by("anna", name, seeds=(ItemId("tea"),)) for name in placements]
    )

    filled = {one.placement for one in answers if one.items}
    pipelines = house.keeper.snapshot.pipelines if house.keeper.snapshot else {}
    assert {name for name, one in pipelines.items() if fills_up(one)} <= filled | {"on_sale"}
    assert not filled & {"recently_viewed", "abandoned", "because_you_viewed", "buy_again"}


async def test_search_finds_and_trending_trends_without_a_release(house: House) -> None:
    house.describe(*shop.items())
    known = await house.until_known()
    await house.keeper.publish(Snapshot.of(known.bundle, read_placements(DEFAULT_PLACEMENTS)))
    sugar = keys_of(np.zeros(1, np.int32), known.bundle.catalog.vocabulary.rows(["sugar"]))
    rising = Activity(sugar, np.array([60.0]), np.array([60.0]))
    await house.keeper.want(Trends.of(("DE",), rising, 0.1))
    searching = asked_by("x", "search_no_results", scene=Scene(search="butter"))

    found, trending = await house.asking().recommend_batch([searching, asked_by("x", "trending")])

    assert (found.item_ids[0], found.items[0].source) == ("butter", "searched")
    assert (trending.item_ids[0], trending.items[0].source) == ("sugar", "trending")
    assert len(found.items) == len(trending.items) == len(NEWEST_FIRST)
    assert found.degraded == trending.degraded == "NO_RELEASE"


async def test_words_of_the_catalog_are_gathered_before_anybody_searches(tmp_path: Path) -> None:
    placements = read_placements(DEFAULT_PLACEMENTS)
    async with following(tmp_path, placements) as house:
        house.describe(*shop.items())
        grown = await house.until_known()
        started = house.another_keeper(placements)
        await started.check()

    assert started.snapshot is not None
    for snapshot in (grown, started.snapshot):
        assert snapshot.placements.conditions.words.made


async def test_first_release_takes_over_and_so_do_its_models(house: House) -> None:
    house.describe(*shop.items())
    await house.until_known()

    publish(house.releases, shop.bundle("v1"))
    news = await house.keeper.check()
    answer = await house.asking().recommend(asked_by("anna"))

    assert news
    assert (answer.bundle_version, answer.degraded) == ("v1", "")
    assert answer.item_ids == ("bread", "butter", "jam", "coffee")


async def test_damaged_release_leaves_the_catalog_to_answer_until_a_whole_one_comes(
    tmp_path: Path,
) -> None:
    async with following(tmp_path) as house:
        house.describe(*shop.items())
        bundle = shop.bundle("v1")
        bundle.save(house.releases / "v1")
        (house.releases / "v1" / "popularity_counts.npy").write_bytes(b"no array")
        move_pointer(house.releases, "v1", reason="test", now=shop.NOW)

        taken = await house.keeper.check()
        await house.until_known()
        started = house.another_keeper()
        await started.check()
        without = await house.asking().recommend(asked_by("anna"))
        publish(house.releases, shop.bundle("v2"))
        await house.keeper.check()
        after = await house.asking().recommend(asked_by("anna"))

    assert not taken
    assert started.snapshot is not None
    assert (without.degraded, without.item_ids) == ("NO_RELEASE", NEWEST_FIRST[:4])
    assert (after.bundle_version, after.degraded) == ("v2", "")


async def test_each_release_is_told_once_and_so_is_the_catalog_and_that_it_is_empty(
    house: House,
) -> None:
    told: list[str | None] = []

    async def listen() -> None:
        async for snapshot in house.keeper.changes(0.01):
            told.append(snapshot.bundle.version if snapshot else None)
            if told[-1] == "v1":
                return

    task = asyncio.create_task(listen())
    house.describe(*shop.items())
    await house.until_known()
    await asyncio.sleep(0.1)
    house.describe(*(Removal(item.item_id) for item in shop.items()))
    async with asyncio.timeout(10):
        while house.keeper.snapshot is not None:  # noqa: ASYNC110 - a snapshot is no event
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    publish(house.releases, shop.bundle("v1"))
    await asyncio.wait_for(task, 10)

    assert told == ["", None, "v1"]
