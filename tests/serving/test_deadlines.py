"""Answers that have to come in time: with popular items alone where there is no time for more."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.recsys.v1 import recommendation_service_pb2 as pb
from protos.recsys.v1 import recommendation_service_pb2_grpc as pb_grpc
from recsys.context import Contexts
from recsys.eligibility import Eligibility
from recsys.errors import NotFound
from recsys.events import EventType
from recsys.ids import ItemId
from recsys.pipeline.pipeline import NamedFilter
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Recommendation, Tier
from serving.api.interceptors import StatusInterceptor
from serving.api.recommendation_servicer import RecommendationServicer
from serving.metrics import CallMetrics, Registry, totals
from serving.pace import Pace, to_make
from serving.recommender import Recommender
from serving.shown_lists import ShownLists
from serving.snapshot import Snapshot
from serving.state.embedded import EmbeddedValkey
from serving.state.errands import Errand, Found
from serving.state.keys import StateKey, StateKeys
from serving.state.redis_store import RedisSettings, RedisStateStore
from tests import shop
from tests.serving.test_recommender import (
    ANNA,
    KEYS,
    SHOP,
    KnownStates,
    Shelf,
    asked_by,
    recommender,
)

NO_TIME_S = 0.001
AMPLE_S = 3_600.0
VIEWED = """
[placements.viewed]
size = 4
filters = [{ kind = "available" }]
sources = [{ kind = "recently_viewed", k = 10 }]
"""
POPULAR = ("bread", "butter", "jam", "coffee")


@dataclass
class SilentStates:
    """A store that does not answer until it is told to."""

    answers: asyncio.Event = field(default_factory=asyncio.Event)
    incomplete: bool = False

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        await self.answers.wait()
        return await KnownStates(ANNA).find(keys, errand)


async def test_page_that_cannot_wait_for_the_state_gets_popular_items_and_says_why() -> None:
    registry = Registry()
    asking = recommender(SilentStates(), registry=registry)

    answer = await asking.recommend(asked_by("anna"), within_s=0.05)

    assert answer.item_ids == POPULAR
    assert (answer.tier, answer.degraded) == (Tier.POPULAR, "DEADLINE")
    assert not answer.personalised
    assert totals(registry)["recommendations_degraded"] == 1


async def test_page_with_time_waits_on_beside_one_without() -> None:
    store = SilentStates()
    asking = recommender(store)

    patient = asyncio.create_task(asking.recommend(asked_by("anna", "email"), within_s=AMPLE_S))
    hurried = await asking.recommend(asked_by("anna", "email"), within_s=NO_TIME_S)
    store.answers.set()
    personal = await patient

    assert (hurried.degraded, personal.degraded) == ("DEADLINE", "")
    assert (personal.tier, personal.item_ids[0]) == (Tier.PERSONAL, "milk")


async def test_page_that_comes_while_another_waits_is_answered_in_its_own_time() -> None:
    store = SilentStates()
    asking = recommender(store)
    patient = asyncio.create_task(asking.recommend(asked_by("anna")))
    for _ in range(30):
        await asyncio.sleep(0)  # until its state is being read

    hurried = await asking.recommend(asked_by("ben"), within_s=0.02)

    assert hurried.degraded == "DEADLINE"
    store.answers.set()
    assert (await patient).degraded == ""


async def test_caller_without_deadline_waits_for_the_whole_answer() -> None:
    answer = await recommender(KnownStates(ANNA)).recommend(asked_by("anna", "email"))

    assert (answer.tier, answer.degraded) == (Tier.PERSONAL, "")


@dataclass(frozen=True)
class Dawdling:
    """A filter that lets everything through and takes its time about it, for who is known."""

    seconds: float

    def narrow(self, contexts: Contexts, eligible: Eligibility) -> Eligibility:
        if len(contexts.history.rows) or len(contexts.purchases.rows):
            time.sleep(self.seconds)
        return eligible


async def test_page_that_would_take_longer_than_there_is_time_is_made_of_popular_items() -> None:
    email = SHOP.pipelines["email"]
    slow = replace(email, filters=(NamedFilter("slow", Dawdling(1.0)), *email.filters))
    placements = replace(SHOP.placements, pipelines={"email": slow})
    store = KnownStates({"anna": shop.bought("bread")})
    asking = recommender(store, Shelf(replace(SHOP, placements=placements)))
    first = await asking.recommend(asked_by("anna", "email"), within_s=AMPLE_S)

    second = await asking.recommend(asked_by("anna", "email"), within_s=0.36)

    assert (first.tier, first.degraded) == (Tier.PERSONAL, "")
    assert (second.tier, second.degraded) == (Tier.POPULAR, "DEADLINE")
    assert second.item_ids == ("butter", "jam", "coffee")  # bread was bought: filters hold


async def test_page_in_a_hurry_whose_state_was_read_goes_on_and_keeps_what_the_asker_did() -> None:
    email = SHOP.pipelines["email"]
    slow = replace(email, filters=(NamedFilter("slow", Dawdling(1.0)), *email.filters))
    placements = replace(SHOP.placements, pipelines={"email": slow})
    deeds = (EventType.PURCHASE, "bread", 3.0), (EventType.HIDE, "butter", 1.0)
    store = KnownStates({"anna": shop.state(*deeds)})
    shelf = Shelf(replace(SHOP, placements=placements))
    lists = ShownLists(store, KEYS, flush_s=60.0)
    tokens = (number.to_bytes(8, "big") for number in itertools.count())
    asking = Recommender(shelf, store, KEYS, chance=lambda _: next(tokens), lists=lists)

    answers = [await asking.recommend(asked_by("anna", "email", limit=1), within_s=AMPLE_S)]
    for within_s in (0.36, AMPLE_S):
        on = asked_by("anna", "email", limit=2, continues=answers[-1].attribution_token)
        answers.append(await asking.recommend(on, within_s=within_s))

    shown = [item for one in answers for item in one.item_ids]
    assert [one.degraded for one in answers] == ["", "DEADLINE", ""]
    assert [one.continued for one in answers] == [False, True, True]
    assert len(set(shown)) == len(shown) >= 4
    assert not {"bread", "butter"} & set(shown)


def test_dear_answers_are_tried_again_after_some_that_were_spared() -> None:
    pace = Pace()
    pace.took(10.0, 1, hurried=False)
    dear = pace.full_s(1)

    for _ in range(200):
        pace.spared()

    assert dear > 1.0
    assert pace.full_s(1) < 1e-6


def test_pace_counts_slots_and_tells_haste_from_leisure() -> None:
    pace = Pace()
    for _ in range(100):
        pace.took(0.6, 6, hurried=False)
        pace.took(0.006, 6, hurried=True)

    assert pace.full_s(2) == pytest.approx(0.3)
    assert pace.hurried_s(2) == pytest.approx(0.003)


def test_time_is_kept_to_send_an_answer() -> None:
    assert to_make(1.0) == pytest.approx(0.8)
    assert to_make(0.01) == pytest.approx(0.005)
    assert to_make(0.001) < 0


async def test_list_of_what_was_viewed_is_not_made_of_anything_else_in_a_hurry() -> None:
    placements = parse_placements(shop.PLACEMENTS + VIEWED)
    asking = recommender(SilentStates(), Shelf(Snapshot.of(shop.bundle("v1"), placements)))

    viewed = await asking.recommend(asked_by("anna", "viewed"), within_s=NO_TIME_S)

    assert (viewed.item_ids, viewed.degraded) == ((), "DEADLINE")


async def test_wrong_page_is_refused_in_a_hurry_as_at_leisure() -> None:
    asking = recommender(SilentStates())

    with pytest.raises(NotFound):
        await asking.recommend(asked_by("anna", "checkout"), within_s=NO_TIME_S)


@settings(max_examples=40)
@given(
    st.sampled_from([0.0, NO_TIME_S, 0.006, 0.01, AMPLE_S]),
    st.lists(
        st.tuples(st.sampled_from(tuple(SHOP.pipelines)), st.integers(0, 9)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["", 'category = "Dairy"', "price < 5"]),
)
def test_whatever_the_deadline_an_answer_keeps_filters_and_repeats_nothing(
    within_s: float, slots: list[tuple[str, int]], stated: str
) -> None:
    store = KnownStates({"anna": shop.state((EventType.HIDE, "butter", 1.0))})
    excluded = (ItemId("bread"),)
    page = Page(
        tuple(
            asked_by("anna", name, limit=limit, filter=stated, excluded=excluded)
            for name, limit in slots
        ),
        slotted=True,
    )

    lists = asyncio.run(recommender(store).recommend_page(page, within_s=within_s))

    shown = [item for one in lists for item in one.item_ids]
    assert len(shown) == len(set(shown))
    assert not {shop.SOLD_OUT, "bread"} & set(shown)
    assert set(shown) <= _allowed(stated)
    if lists[0].degraded:
        assert {one.tier for one in lists} == {Tier.POPULAR}
    else:
        hiding = [one for one in lists if one.placement != "product"]
        assert not any("butter" in one.item_ids for one in hiding)


def _allowed(stated: str) -> set[str]:
    items = {item.item_id: item for item in shop.items()}
    if "Dairy" in stated:
        return {name for name, item in items.items() if item.category == "Dairy"}
    if "price" in stated:
        return {name for name, item in items.items() if item.price is not None and item.price < 5}
    return set(items)


@asynccontextmanager
async def served(asking: Recommender) -> AsyncIterator[pb_grpc.RecommendationServiceStub]:
    """Give a way to ask over gRPC."""
    guard = StatusInterceptor(CallMetrics(Registry()))
    server = grpc.aio.server(interceptors=[guard])
    servicer = RecommendationServicer(asking, lambda: shop.NOW)
    pb_grpc.add_RecommendationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield pb_grpc.RecommendationServiceStub(channel)
    await server.stop(None)


@contextmanager
def hung(valkey: EmbeddedValkey) -> Iterator[None]:
    """Stop a server's process, and wake it at the end."""
    pid = int((valkey.folder / "valkey.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def own_valkey(short_folder: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey.start_or_adopt(short_folder)
    yield server
    server.stop()


async def test_deadline_of_a_call_is_kept_while_redis_hangs(own_valkey: EmbeddedValkey) -> None:
    keys = StateKeys(KEYS.secret, "hangs:")
    store = RedisStateStore(
        own_valkey.address, keys, RedisSettings(read_timeout_ms=60_000, write_timeout_ms=60_000)
    )
    request = pb.RecommendRequest(placement="home", user_id="anna")
    page = pb.RecommendPageRequest(
        user_id="anna", slots=[pb.Slot(placement="home"), pb.Slot(placement="email")]
    )

    async with served(Recommender(Shelf(), store, keys, chance=bytes)) as stub:
        await stub.Recommend(request)  # so that Redis knows what it will be asked
        with hung(own_valkey):
            one = await stub.Recommend(request, timeout=2.0)
            two = await stub.RecommendPage(page, timeout=2.0)
        await store.close()

    assert one.degraded_reason == two.degraded_reason == pb.DEGRADED_REASON_DEADLINE
    assert [item.item_id for item in one.items] == list(POPULAR)
    assert [len(each.items) for each in two.lists] == [4, 3]
    assert {each.tier for each in two.lists} == {pb.TIER_POPULAR}


async def test_redis_that_hangs_for_shorter_than_a_deadline_costs_its_own_timeout_alone(
    own_valkey: EmbeddedValkey,
) -> None:
    keys = StateKeys(KEYS.secret, "hangs:")
    store = RedisStateStore(own_valkey.address, keys, RedisSettings(read_timeout_ms=20))
    asking = Recommender(Shelf(), store, keys, chance=bytes)

    with hung(own_valkey):
        answer: Recommendation = await asking.recommend(asked_by("anna"), within_s=AMPLE_S)
    await store.close()

    assert answer.degraded == "STATE_UNAVAILABLE"
    assert answer.item_ids == POPULAR
