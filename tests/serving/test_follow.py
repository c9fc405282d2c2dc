from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.events import Position
from recsys.ids import ItemId
from recsys.items import Item, Offer, OfferUpdate, Removal
from recsys.pipeline.placement import parse_placements
from serving import follow
from serving.follow import CatalogFollower, overlay_of
from serving.log.items import RegisteredItem
from serving.log.tail import LogTail
from serving.log.writer import Writer
from serving.metrics import FollowMetrics, Registry
from serving.recommender import Recommender
from serving.releases import ReleaseFolder
from serving.snapshot import Snapshot, SnapshotKeeper
from tests import shop
from tests.serving.registers import Register
from tests.serving.test_recommender import KEYS, KnownStates, asked_by
from tests.serving.test_snapshot import publish

PLACEMENTS = parse_placements(shop.PLACEMENTS)
PLAIN = Snapshot.of(shop.bundle(), PLACEMENTS)


def follower(register: Register, registry: Registry | None = None) -> CatalogFollower:
    return CatalogFollower(
        register.open,
        PLACEMENTS,
        lambda: shop.NOW,
        interval_s=0.01,
        metrics=FollowMetrics.of(registry or Registry()),
    )


class Shelf:
    """Holds what a follower publishes."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    async def listed(self, **fields: object) -> tuple[str, ...]:
        asking = Recommender(self, KnownStates(), KEYS, chance=secrets.token_bytes)
        query = replace(asked_by("nobody", limit=20), **fields)  # type: ignore[arg-type]
        return (await asking.recommend(query)).item_ids


@asynccontextmanager
async def following(register: Register, registry: Registry | None = None) -> AsyncIterator[Shelf]:
    """Follow a register beside the test."""
    one = follower(register, registry)
    shelf = Shelf(await one.overlaid(PLAIN))

    async def publish_all() -> None:
        async for snapshot in one.snapshots():
            shelf.snapshot = snapshot

    task = asyncio.create_task(publish_all())
    try:
        yield shelf
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await one.close()


async def until(shelf: Shelf, before: Snapshot) -> None:
    async with asyncio.timeout(5):
        while shelf.snapshot is before:  # noqa: ASYNC110 - a snapshot is no event
            await asyncio.sleep(0.005)


def bread(**fields: object) -> Item:
    return replace(shop.items()[0], **fields)  # type: ignore[arg-type]


async def test_item_that_sells_out_leaves_the_answers_and_comes_back() -> None:
    register = Register()
    async with following(register) as shelf:
        lists = [await shelf.listed()]
        for stock in (0.0, 3.0):
            before = shelf.snapshot
            register.put(0, "bread", bread(stock=stock))
            await until(shelf, before)
            lists.append(await shelf.listed())

    assert [one[0] for one in lists] == ["bread", "butter", "bread"]
    assert "bread" not in lists[1]


async def test_newcomer_is_listed_under_its_id_and_title() -> None:
    register = Register()
    register.put(12, "rye bread", Item(ItemId("rye bread"), "Rye bread"))

    async with following(register) as shelf:
        listed = await shelf.listed()

    assert listed[-1] == "rye bread"
    assert "" not in listed


async def test_variants_are_one_product_that_shows_what_is_in_stock() -> None:
    register = Register()
    register.put(0, "bread", bread(group_id="loaf", stock=0.0))
    register.put(1, "butter", replace(shop.items()[1], group_id="loaf"))

    async with following(register) as shelf:
        listed = await shelf.listed()
        without = await shelf.listed(excluded=(ItemId("butter"),))

    assert listed[:2] == ("butter", "jam")
    assert without[0] == "jam"


async def test_markets_of_one_batch_are_answered_each_for_itself() -> None:
    register = Register()
    register.put(0, "bread", bread(offers=(Offer("DE"),)))

    async with following(register) as shelf:
        asking = Recommender(shelf, KnownStates(), KEYS, chance=secrets.token_bytes)
        queries = [asked_by("nobody", market=market) for market in ("AT", "DE", "", "AT")]
        answers = await asking.recommend_batch(queries)

    assert [answer.item_ids[0] for answer in answers] == ["butter", "bread", "bread", "butter"]


async def test_unreadable_register_is_counted_and_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "RETRY_S", 0.01)
    register, registry = Register(), Registry()
    async with following(register, registry) as shelf:
        register.failing = True
        register.put(0, "bread", bread(hidden=True))
        await asyncio.sleep(0.1)
        meanwhile, before = await shelf.listed(), shelf.snapshot
        register.failing = False
        await until(shelf, before)
        after = await shelf.listed()

    assert (meanwhile[0], after[0]) == ("bread", "butter")
    assert (registry.get_sample_value("recsys_follow_failures_total") or 0) > 1
    assert registry.get_sample_value("recsys_followed_position") == 1
    assert register.opened == 2


async def test_release_waits_until_the_register_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "RETRY_S", 0.01)
    register = Register(failing=True)
    register.put(0, "bread", bread(hidden=True))
    one = follower(register)

    waiting = asyncio.create_task(one.overlaid(PLAIN))
    await asyncio.sleep(0.1)
    early, register.failing = waiting.done(), False

    listed = await Shelf(await asyncio.wait_for(waiting, 5)).listed()
    assert not early
    assert listed[0] == "butter"
    await one.close()


@dataclass
class FaultyRegister(Register):
    """Fails, while it is told to, as no register should."""

    faulty: bool = False

    def items_behind(self, after: Position, limit: int) -> list[RegisteredItem]:
        if self.faulty:
            raise ValueError("a fault of our own")
        return super().items_behind(after, limit)


async def test_fault_of_our_own_stops_neither_serving_nor_following(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(follow, "RETRY_S", 0.01)
    register, registry = FaultyRegister(), Registry()
    async with following(register, registry) as shelf:
        before, register.faulty = shelf.snapshot, True
        register.put(0, "bread", bread(hidden=True))
        await asyncio.sleep(0.1)
        meanwhile, register.faulty = shelf.snapshot, False
        await until(shelf, before)
        listed = await shelf.listed()

    assert meanwhile is before
    assert listed[0] == "butter"
    assert (registry.get_sample_value("recsys_follow_failures_total") or 0) > 1


async def test_release_that_cannot_be_brought_up_to_date_is_refused(tmp_path: Path) -> None:
    register = FaultyRegister(faulty=True)
    register.put(0, "bread", bread())
    one = follower(register)
    keeper = SnapshotKeeper(
        ReleaseFolder(tmp_path), PLACEMENTS, lambda: shop.NOW, overlaid=one.overlaid
    )
    publish(tmp_path, shop.bundle("v2"))

    assert not await asyncio.wait_for(keeper.check(), 5)
    await one.close()


async def test_release_that_is_loaded_is_served_with_the_catalog_of_this_moment(
    tmp_path: Path,
) -> None:
    register = Register()
    register.put(0, "bread", bread(available=False))
    one = follower(register)
    keeper = SnapshotKeeper(
        ReleaseFolder(tmp_path), PLACEMENTS, lambda: shop.NOW, overlaid=one.overlaid
    )
    publish(tmp_path, shop.bundle("v2"))

    assert await keeper.check()

    assert keeper.snapshot is not None
    assert "bread" not in await Shelf(keeper.snapshot).listed()
    await one.close()


@dataclass
class SlowRegister(Register):
    """Waits with its answer until it is let go."""

    asked: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def items_behind(self, after: Position, limit: int) -> list[RegisteredItem]:
        found = super().items_behind(after, limit)
        if found:
            self.asked.set()
            self.go.wait(5)
        return found


async def test_change_read_for_a_release_that_was_replaced_meanwhile_is_not_served() -> None:
    register = SlowRegister()
    one = follower(register)
    await one.overlaid(PLAIN)
    register.put(0, "bread", bread(available=False))
    waiting = asyncio.ensure_future(anext(one.snapshots()))
    await asyncio.to_thread(register.asked.wait, 5)

    newer = shop.bundle("v2")
    one._overlay, one._snapshot = overlay_of(newer), Snapshot.of(newer, PLACEMENTS)
    register.go.set()

    published = await asyncio.wait_for(waiting, 5)
    assert published.bundle.version == "v2"
    assert "bread" not in await Shelf(published).listed()
    await one.close()


async def test_change_in_a_real_log_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    writer, registry = Writer(path, clock=lambda: shop.NOW), Registry()
    writer.change_items(shop.items())
    one = CatalogFollower(
        lambda: LogTail(path),
        PLACEMENTS,
        lambda: shop.NOW,
        interval_s=0.01,
        metrics=FollowMetrics.of(registry),
    )
    shelf = Shelf(await one.overlaid(PLAIN))
    waiting = asyncio.ensure_future(anext(one.snapshots()))

    writer.change_items([OfferUpdate(ItemId("bread"), stock=0.0), Removal(ItemId("butter"))])

    lists = [await shelf.listed(), await Shelf(await asyncio.wait_for(waiting, 5)).listed()]
    assert [one[0] for one in lists] == ["bread", "jam"]
    assert registry.get_sample_value("recsys_followed_position") == len(shop.ITEMS) + 2
    await one.close()
    writer.close()


operations = st.lists(
    st.tuples(
        st.integers(0, 13),
        st.sampled_from(["sold out", "hidden", "removed", "sold", "in DE", "variant of bread"]),
    ),
    max_size=25,
)


def described(row: int, what: str) -> Item | None:
    item = Item(ItemId(name(row)), name(row).title())
    match what:
        case "sold out":
            return replace(item, stock=0.0)
        case "hidden":
            return replace(item, hidden=True)
        case "removed":
            return None
        case "in DE":
            return replace(item, offers=(Offer("DE"),))
        case "variant of bread":
            return replace(item, group_id="bread")
    return item


def name(row: int) -> str:
    return shop.ITEMS[row] if row < len(shop.ITEMS) else f"new {row}"


@given(said=operations)
@settings(max_examples=60)
def test_no_answer_holds_what_may_not_be_shown(said: list[tuple[int, str]]) -> None:
    register = Register()
    truth: dict[int, Item | None] = dict(enumerate(shop.items()))
    for row, what in said:
        truth[row] = described(row, what)
        register.put(row, name(row), truth[row])

    lists = asyncio.run(_lists(register))

    sold = {str(item.item_id): item for item in truth.values() if item}
    for market, listed in lists.items():
        products = [sold[one].group_id or one for one in listed]
        assert len(set(products)) == len(products)
        for one in listed:
            item = sold[one]
            variants = [other for other in sold.values() if other.group_id == one]
            assert not item.hidden
            assert any(_sold(other, market) for other in (item, *variants))


def _sold(item: Item, market: str) -> bool:
    kept_away = market and item.offers and market not in {offer.market for offer in item.offers}
    return not item.hidden and not kept_away and item.available and item.stock != 0


async def _lists(register: Register) -> dict[str, tuple[str, ...]]:
    one = follower(register)
    shelf = Shelf(await one.overlaid(PLAIN))
    lists = {market: await shelf.listed(market=market) for market in ("", "DE", "AT")}
    await one.close()
    return lists
