"""How often Redis is asked: once a page at most, whoever asks and whatever goes on from what."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.customers import Consents, Identifier, IdKind
from recsys.events import EventType, Position, Record
from recsys.query import Page, Recommendation
from serving.log.customer_register import CustomerProfile
from serving.recommender import Recommender
from serving.shown_lists import ShownLists
from serving.state.embedded import EmbeddedValkey
from serving.state.keys import StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests import shop
from tests.faults.proxy import FaultProxy
from tests.serving.test_recommender import KEYS, Shelf, asked_by
from tests.serving.test_shown_lists import chance

ANNA = Identifier(IdKind.USER, "anna")
BROWSER = Identifier(IdKind.VISITOR, "browser")
BENNY = Identifier(IdKind.USER, "benny")
CARD = Identifier(IdKind.CARD, "4711")
prefixes = (f"trips{n}:" for n in itertools.count())


@dataclass
class Counter:
    """A worker behind a way to Redis that counts what comes back."""

    proxy: FaultProxy
    store: RedisStateStore
    keys: StateKeys
    asking: Recommender
    lists: ShownLists

    async def knows(self, kind: EventType, item: str, user: str = "anna") -> None:
        event = replace(shop.event(kind, item, user, event_id=item), time=shop.NOW)
        record = Record(event, Position(shop.ROW[item] + 1), shop.ROW[item])
        await self.store.apply([record])

    async def links(self, *members: Identifier) -> None:
        await self.store.apply_profiles([CustomerProfile(members, Consents(), Position(9))])


@asynccontextmanager
async def counted(valkey: EmbeddedValkey, folder: Path) -> AsyncIterator[Counter]:
    keys = StateKeys(KEYS.secret, next(prefixes))
    proxy = FaultProxy(valkey.socket, folder / "proxy.sock")
    listening = await proxy.listen()
    store = RedisStateStore(proxy.address, keys, RedisSettings(read_timeout_ms=10_000))
    lists = ShownLists(store, keys, flush_s=60.0)
    asking = Recommender(Shelf(), store, keys, chance=chance, lists=lists)
    await store.set_applied_through(Position(0), None)
    try:
        yield Counter(proxy, store, keys, asking, lists)
    finally:
        await store.close()
        await proxy.end(listening)


def page(user: str, *continues: str) -> Page:
    """Return a page of two slots, which go on from earlier lists."""
    tokens = continues or ("", "")
    names = ("home", "email")
    slots = zip(names, tokens, strict=True)
    return Page(
        tuple(asked_by(user, name, limit=2, continues=token) for name, token in slots), slotted=True
    )


async def test_pages_ask_redis_once_each_whoever_asks_and_whatever_they_go_on_from(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    async with counted(valkey, short_folder) as worker:
        await worker.knows(EventType.PURCHASE, "coffee")
        await worker.links(ANNA, BROWSER, CARD)
        for _ in range(2):  # opens a connection, brings the scripts
            await worker.asking.recommend_page(page("anna"))
        before = worker.proxy.n_answers
        tokens: tuple[str, ...] = ("", "")
        for user in ("anna", "ben", "anna", "anna", "cara"):
            lists = await worker.asking.recommend_page(page(user, *tokens))
            tokens = tuple(one.attribution_token for one in lists)
        asked = worker.proxy.n_answers - before
        await worker.lists.flush()
        flushed = worker.proxy.n_answers - before - asked

    assert (asked, flushed) == (5, 1)
    assert [one.continued for one in lists] == [True, True]


async def test_pages_that_wait_together_ask_redis_once(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    async with counted(valkey, short_folder) as worker:
        await worker.links(ANNA, BROWSER)
        first = await worker.asking.recommend_page(page("anna"))
        tokens = tuple(one.attribution_token for one in first)
        before = worker.proxy.n_answers

        pages = [page(user, *tokens) for user in ("anna", "ben", "cara", "anna")]
        await asyncio.gather(*(worker.asking.recommend_page(one) for one in pages))

        assert worker.proxy.n_answers - before == 1


async def test_nobody_in_particular_costs_no_trip_but_that_of_the_list_they_go_on_from(
    valkey: EmbeddedValkey, short_folder: Path
) -> None:
    async with counted(valkey, short_folder) as worker:
        before = worker.proxy.n_answers
        first = await worker.asking.recommend(asked_by("", limit=2))
        without = worker.proxy.n_answers - before

        second = await worker.asking.recommend(
            asked_by("", limit=2, continues=first.attribution_token)
        )

    assert without == 0
    assert second.continued


@pytest.mark.parametrize("told", ["before", "after"])
async def test_linked_ids_are_known_under_each_other(
    valkey: EmbeddedValkey, short_folder: Path, told: str
) -> None:
    async with counted(valkey, short_folder) as worker:
        if told == "before":
            await worker.links(ANNA, BROWSER)
        await worker.knows(EventType.PURCHASE, "coffee")
        if told == "after":
            await worker.links(ANNA, BROWSER)

        as_user = await worker.asking.recommend(asked_by("anna", "email"))
        query = replace(asked_by("", "email"), visitor_id="browser")
        as_visitor = await worker.asking.recommend(query)

    assert as_user.item_ids == as_visitor.item_ids
    assert as_visitor.item_ids[0] == "milk"


BOUGHT = st.lists(st.sampled_from(shop.ITEMS[:9]), unique=True, max_size=4)


@settings(max_examples=15)
@given(bought=BOUGHT, liked=BOUGHT, placement=st.sampled_from(["home", "email"]))
def test_linked_customer_gets_what_who_names_all_ids_gets(
    valkey: EmbeddedValkey, bought: list[str], liked: list[str], placement: str
) -> None:
    async def law() -> tuple[Recommendation, Recommendation]:
        with tempfile.TemporaryDirectory(prefix="rs-") as folder:
            async with counted(valkey, Path(folder)) as worker:
                for item in bought:
                    await worker.knows(EventType.PURCHASE, item, "anna")
                for item in liked:
                    await worker.knows(EventType.LIKE, item, "benny")
                await worker.links(BROWSER, BENNY)
                both = replace(asked_by("anna", placement), visitor_id="browser")
                apart = await worker.asking.recommend(both)
                await worker.links(ANNA, BROWSER, BENNY)
                linked = await worker.asking.recommend(asked_by("anna", placement))
                return apart, linked

    apart, linked = asyncio.run(law())

    assert linked.item_ids == apart.item_ids
    assert linked.tier == apart.tier
