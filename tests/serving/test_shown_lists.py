"""Lists that go on from lists that were answered before."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from protos.recsys.v1 import recommendation_service_pb2 as pb
from recsys.errors import InvalidInput, Unavailable
from recsys.pipeline.groupings import Grouping
from recsys.pipeline.placement import parse_placements
from recsys.query import Page, Recommendation, Tier
from serving import shown_lists
from serving.api import client_codec, codec, page_client_codec
from serving.api.codec import decode_page, decode_query
from serving.api.names import DEGRADED_NUMBERS, DEGRADED_REASONS
from serving.api.page_client_codec import Slot
from serving.attribution import AttributionToken
from serving.degraded import Degraded, lacking
from serving.recommender import Recommender, StateReader
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
    UnreachableStates,
    asked_by,
)

PLACEMENTS = parse_placements(shop.PLACEMENTS)
SOLD = set(shop.ITEMS) - {shop.SOLD_OUT}
prefixes = (f"lists{n}:" for n in itertools.count())
tokens = itertools.count(1)


def chance(n: int) -> bytes:
    """Return bytes that no answer had before."""
    return next(tokens).to_bytes(n, "big")


def worker(
    store: StateReader, keys: StateKeys = KEYS, *, flush_s: float = 60.0, shelf: Shelf | None = None
) -> tuple[Recommender, ShownLists]:
    """Return a recommender, and the lists it keeps, which go with the next read."""
    lists = ShownLists(store, keys, flush_s=flush_s)
    return Recommender(shelf or Shelf(), store, keys, chance=chance, lists=lists), lists


async def chain(asking: Recommender, n: int, *, limit: int = 0) -> list[Recommendation]:
    """Return `n` lists, each of which goes on from the one before."""
    answers = [await asking.recommend(asked_by("anna", limit=limit))]
    for _ in range(n - 1):
        token = answers[-1].attribution_token
        answers.append(await asking.recommend(asked_by("anna", continues=token, limit=limit)))
    return answers


async def test_lists_that_go_on_hold_everything_once_until_nothing_is_left() -> None:
    asking, _ = worker(KnownStates())

    answers = await chain(asking, 5, limit=4)

    assert [len(one.items) for one in answers] == [4, 4, 1, 0, 0]
    shown = [item for one in answers for item in one.item_ids]
    assert len(shown) == len(set(shown))
    assert set(shown) == SOLD
    assert [one.continued for one in answers] == [False, True, True, True, True]


async def test_list_may_be_gone_on_from_twice() -> None:
    asking, _ = worker(KnownStates())
    first, second = await chain(asking, 2, limit=3)

    again = await asking.recommend(asked_by("anna", continues=first.attribution_token, limit=3))

    assert again.item_ids == second.item_ids
    assert not set(again.item_ids) & set(first.item_ids)


async def test_token_that_is_not_known_any_more_begins_anew_and_says_so() -> None:
    store = KnownStates()
    asking, _ = worker(store)
    first, second = await chain(asking, 2)
    store.lists.clear()

    anew = await asking.recommend(asked_by("anna", continues=first.attribution_token))

    assert second.continued
    assert (anew.continued, anew.degraded) == (False, "")
    assert anew.item_ids == first.item_ids


async def test_chain_that_is_too_long_to_be_remembered_shows_the_oldest_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_lists, "MOST_SHOWN", 6)
    monkeypatch.setattr(shown_lists, "MOST_LOOKED_UP", 3)
    asking, _ = worker(KnownStates())

    first, second, third = await chain(asking, 3, limit=4)

    assert not set(second.item_ids) & set(first.item_ids)
    assert third.item_ids[:2] == first.item_ids[:2]
    assert not set(third.item_ids) & set(second.item_ids)


async def test_list_of_a_longest_chain_is_kept_in_4_kilobytes() -> None:
    store = KnownStates()
    asking, lists = worker(store)
    answer = await asking.recommend(asked_by("anna"))
    before = np.arange(5_000, dtype=np.int32)

    lists.keep(SHOP, Page((asked_by("anna"),)), shown=(before,), answers=[answer])
    await lists.flush()

    (kept,) = store.lists.values()
    assert len(kept) == 4_000
    assert kept[-16:] == b"".join(shop.ROW[item].to_bytes(4, "little") for item in answer.item_ids)


async def test_read_takes_few_lists_along_and_the_rest_is_flushed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_lists, "MOST_RIDING", 40)
    store = KnownStates()
    asking, lists = worker(store)
    page = Page((asked_by(""),) * 5, slotted=True)
    (one, *_) = await asking.recommend_page(page)
    await lists.flush()
    store.lists.clear()
    answers = [replace(one, attribution_token=f"token {number}") for number in range(5)]
    lists.keep(SHOP, page, shown=(), answers=answers)

    await asking.recommend(asked_by("anna"))
    riding = len(store.lists)
    await lists.flush()

    assert riding == 2
    assert len(store.lists) == 6


async def test_list_that_a_read_goes_on_from_rides_however_many_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_lists, "MOST_RIDING", 4)
    asking, _ = worker(KnownStates())
    await asking.recommend(asked_by(""))

    first, second = await chain(asking, 2, limit=4)

    assert second.continued
    assert not set(second.item_ids) & set(first.item_ids)


async def test_list_too_large_to_ride_goes_to_the_store_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shown_lists, "MOST_RIDING", 4)
    store = KnownStates()
    asking, _ = worker(store, flush_s=0.01)
    await asking.recommend(asked_by("anna"))

    await asking.recommend(asked_by("ben"))
    riding = len(store.lists)
    await asyncio.sleep(0.2)

    assert (riding, len(store.lists)) == (0, 2)


@dataclass
class TroubledStates:
    """A store that is away, or does not answer, for a while."""

    known: KnownStates = field(default_factory=KnownStates)
    away: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)
    incomplete: bool = False

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        if self.away:
            raise Unavailable("no answer", reason="STATE_UNAVAILABLE")
        await self.answers.wait()
        return await self.known.find(keys, errand)


@pytest.mark.parametrize("trouble", ["away", "hangs"])
async def test_list_that_went_on_from_one_that_was_not_read_is_begun_anew_from(
    trouble: str,
) -> None:
    store = TroubledStates()
    asking, lists = worker(store)
    store.answers.set()
    first = await asking.recommend(asked_by("anna"))
    await lists.flush()
    if trouble == "away":
        store.away = True
    else:
        store.answers.clear()

    token = first.attribution_token
    second = await asking.recommend(asked_by("anna", continues=token), within_s=0.05)
    store.away = False
    store.answers.set()
    third = await asking.recommend(asked_by("anna", continues=second.attribution_token))
    token = third.attribution_token
    fourth = await asking.recommend(asked_by("anna", continues=token))

    assert second.degraded
    assert (second.continued, third.continued, fourth.continued) == (False, False, True)
    assert third.item_ids == first.item_ids
    assert not set(fourth.item_ids) & set(third.item_ids)


async def test_groups_are_not_gone_on_from() -> None:
    store = KnownStates()
    asking, lists = worker(store)

    groups = await asking.recommend_groups(asked_by("anna"), Grouping("category"))
    await lists.flush()
    after = await asking.recommend(asked_by("anna", continues=groups.attribution_token))

    assert groups.groups
    assert not after.continued


async def test_shop_that_keeps_no_lists_begins_anew_and_stores_nothing() -> None:
    store = KnownStates()
    lists = ShownLists(store, KEYS, kept=False)
    asking = Recommender(Shelf(), store, KEYS, chance=chance, lists=lists)

    first, second = await chain(asking, 2)
    await lists.flush()

    assert not second.continued
    assert second.item_ids == first.item_ids
    assert store.lists == {}


async def test_store_that_is_away_begins_anew() -> None:
    asking, _ = worker(UnreachableStates())

    first, second = await chain(asking, 2)

    assert (second.continued, second.degraded) == (False, "STATE_UNAVAILABLE")
    assert second.item_ids == first.item_ids


async def test_what_is_kept_of_a_list_may_be_damaged_and_then_begins_anew() -> None:
    store = KnownStates()
    asking, lists = worker(store)
    first = await asking.recommend(asked_by("anna"))
    await lists.flush()
    store.lists = {key: raw + b"x" for key, raw in store.lists.items()}

    second = await asking.recommend(asked_by("anna", continues=first.attribution_token))

    assert not second.continued
    assert second.item_ids == first.item_ids


async def test_slot_goes_on_and_its_neighbours_do_not() -> None:
    asking, _ = worker(KnownStates())
    home, email = await asking.recommend_page(
        Page((asked_by("anna", limit=3), asked_by("anna", "email")), slotted=True)
    )

    more, others = await asking.recommend_page(
        Page(
            (
                asked_by("anna", limit=3, continues=home.attribution_token),
                asked_by("anna", "email"),
            ),
            slotted=True,
        )
    )

    assert not set(more.item_ids) & set(home.item_ids)
    assert not set(others.item_ids) & set(more.item_ids)
    assert set(others.item_ids) & {*home.item_ids, *email.item_ids}
    assert (more.continued, others.continued) == (True, False)


@pytest.mark.parametrize("first", [True, False])
async def test_slots_of_one_placement_go_on_each_by_itself(first: bool) -> None:
    asking, _ = worker(KnownStates())
    before = await asking.recommend(asked_by("anna", limit=3))
    on = asked_by("anna", limit=2, continues=before.attribution_token)
    anew = asked_by("anna", limit=3)
    slots = (on, anew) if first else (anew, on)

    lists = await asking.recommend_page(Page(slots, slotted=True))

    more, again = lists if first else lists[::-1]
    assert again.item_ids == before.item_ids
    assert more.item_ids == ("coffee", "milk")


async def test_item_of_a_list_before_is_explained_as_excluded() -> None:
    asking, _ = worker(KnownStates())
    first = await asking.recommend(asked_by("anna"))
    page = Page((asked_by("anna", continues=first.attribution_token),))

    found = await asking.explain(page, first.item_ids[0])

    assert (found.listed, found.cause.value) == (False, "excluded")


async def test_list_goes_on_after_another_bundle_has_taken_over() -> None:
    shelf = Shelf()
    asking, _ = worker(KnownStates(), shelf=shelf)
    first = await asking.recommend(asked_by("anna"))
    shelf.snapshot = Snapshot.of(shop.bundle("v2"), PLACEMENTS)

    second = await asking.recommend(asked_by("anna", continues=first.attribution_token))

    assert (second.bundle_version, second.continued) == ("v2", True)
    assert not set(second.item_ids) & set(first.item_ids)


@settings(max_examples=25)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.data())
def test_pages_together_go_on_as_they_do_one_by_one(limits: list[int], data: st.DataObject) -> None:
    async def law() -> None:
        store = KnownStates(ANNA)
        asking, lists = worker(store)
        first = [await asking.recommend(asked_by("anna", limit=limit)) for limit in limits]
        await lists.flush()
        known = ["", *(one.attribution_token for one in first)]
        queries = [
            asked_by("anna", limit=limit, continues=data.draw(st.sampled_from(known)))
            for limit in limits
        ]

        together = await asking.recommend_batch(queries)

        alone = [await asking.recommend(query) for query in queries]
        assert [_content(one) for one in together] == [_content(one) for one in alone]
        assert [one.continued for one in together] == [bool(one.continues) for one in queries]

    asyncio.run(law())


def _content(answer: Recommendation) -> Recommendation:
    return replace(answer, attribution_token="")


@pytest.fixture
def keys() -> StateKeys:
    return StateKeys(KEYS.secret, next(prefixes))


@pytest.fixture
def redis(valkey: EmbeddedValkey) -> Iterator[Redis]:
    with Redis(unix_socket_path=str(valkey.socket), socket_timeout=5.0) as client:
        yield client


def kept(redis: Redis, keys: StateKeys) -> list[bytes]:
    return [one for one in redis.keys(f"{keys.prefix}*") if isinstance(one, bytes)]


async def test_another_worker_goes_on_from_a_list_and_it_is_forgotten_in_time(
    valkey: EmbeddedValkey, keys: StateKeys, redis: Redis
) -> None:
    patience = RedisSettings(read_timeout_ms=10_000, list_expiry_s=77)
    stores = [RedisStateStore(valkey.address, keys, patience) for _ in range(2)]
    (one, lists), (other, _) = (worker(store, keys) for store in stores)

    first = await one.recommend(asked_by("", limit=4))
    waiting = kept(redis, keys)
    await lists.flush()
    (key,) = kept(redis, keys)
    second = await other.recommend(asked_by("", limit=4, continues=first.attribution_token))

    assert waiting == []
    assert second.continued
    assert not set(second.item_ids) & set(first.item_ids)
    ttl, value = redis.ttl(key), redis.get(key)
    assert isinstance(ttl, int)
    assert 0 < ttl <= 77
    assert value == b"".join(shop.ROW[item].to_bytes(4, "little") for item in first.item_ids)
    assert first.attribution_token.encode() not in key
    for store in stores:
        await store.close()


async def test_list_goes_to_the_store_by_itself_where_no_read_comes(
    valkey: EmbeddedValkey, keys: StateKeys, redis: Redis
) -> None:
    store = RedisStateStore(valkey.address, keys, RedisSettings(read_timeout_ms=10_000))
    asking, _ = worker(store, keys, flush_s=0.001)

    await asking.recommend(asked_by(""))
    for _ in range(1_000):
        if kept(redis, keys):
            break
        await asyncio.sleep(0.01)

    assert len(kept(redis, keys)) == 1
    await store.close()


async def test_store_that_was_emptied_and_knows_no_script_keeps_and_finds_lists_again(
    valkey: EmbeddedValkey, keys: StateKeys, redis: Redis
) -> None:
    store = RedisStateStore(valkey.address, keys, RedisSettings(read_timeout_ms=10_000))
    asking, _ = worker(store, keys)
    first = await asking.recommend(asked_by("anna"))

    redis.script_flush()
    second = await asking.recommend(asked_by("anna", continues=first.attribution_token))

    assert second.continued
    assert not set(second.item_ids) & set(first.item_ids)
    await store.close()


def test_what_is_no_token_is_refused_with_its_field() -> None:
    slots = [pb.Slot(placement="home"), pb.Slot(placement="home", continue_from="x y")]

    with pytest.raises(InvalidInput) as alone:
        decode_query(pb.RecommendRequest(placement="home", continue_from="soon"), now=shop.NOW)
    with pytest.raises(InvalidInput) as on_page:
        decode_page(pb.RecommendPageRequest(slots=slots), now=shop.NOW)

    assert alone.value.field == "continue_from"
    assert on_page.value.field == "slots[1].continue_from"


def test_token_and_whether_a_list_goes_on_survive_the_way_over_the_wire() -> None:
    token = AttributionToken("home", "v1", shop.NOW, bytes(8)).encode()
    slots = [Slot("home"), Slot("email", continue_from=token)]
    answer = Recommendation((), "home", Tier.POPULAR, "v1", token, continued=True)

    query = decode_query(client_codec.encode_query("home", continue_from=token), now=shop.NOW)
    page = decode_page(page_client_codec.encode_page(slots), now=shop.NOW)
    back = client_codec.decode_recommendation(codec.encode_recommendation(answer))
    lists = page_client_codec.decode_page(
        slots, codec.encode_page(page_client_codec.encode_page(slots), [answer, answer])
    )

    assert query.continues == token
    assert [one.continues for one in page.queries] == ["", token]
    assert back.continued
    assert [one.continued for one in lists] == [True, True]


@pytest.mark.parametrize("degraded", Degraded)
def test_every_reason_to_be_degraded_has_a_number_and_words(degraded: Degraded) -> None:
    assert DEGRADED_REASONS[DEGRADED_NUMBERS[degraded]] == degraded
    assert lacking(degraded) != lacking("NOBODY KNOWS")
