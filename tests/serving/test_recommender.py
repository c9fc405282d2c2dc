from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pytest

from recsys.context import Contexts
from recsys.customers import IdKind
from recsys.errors import NotFound, NotReady, Unavailable
from recsys.events import EventType
from recsys.fill_report import FillReport
from recsys.ids import ItemId
from recsys.models.trends import Activity, Trends
from recsys.pipeline.pipeline import NamedFilter
from recsys.pipeline.placement import parse_placements
from recsys.predicates.errors import InvalidFilter
from recsys.query import Page, Query, Recommendation, Tier
from recsys.state import UserState
from serving.attribution import AttributionToken
from serving.metrics import AnswerMetrics, Registry, totals
from serving.recommender import Recommender, StateReader
from serving.snapshot import Snapshot
from serving.state.errands import Errand, Found
from serving.state.keys import ListKey, Secret, StateKey, StateKeys
from serving.state.profiles import Known
from tests import shop

KEYS = StateKeys(Secret(bytes(range(32))))
PLACEMENTS = parse_placements(shop.PLACEMENTS)
SHOP = Snapshot.of(shop.bundle("v1"), PLACEMENTS)


@dataclass
class Shelf:
    """Holds a snapshot that tests may replace."""

    snapshot: Snapshot | None = SHOP


@dataclass
class KnownStates:
    """A store that knows these users, notes each read, and can be told to wait.

    refusing: users who refuse to be profiled. lists: that it keeps.
    """

    users: dict[str, UserState] = field(default_factory=dict)
    reads: list[int] = field(default_factory=list)
    gate: Callable[[], None] | None = None
    incomplete: bool = False
    refusing: frozenset[str] = frozenset()
    lists: dict[ListKey, bytes] = field(default_factory=dict)

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        self.reads.append(len(keys))
        self.lists |= dict(errand.kept)
        await asyncio.sleep(0)
        if self.gate:
            self.gate()
        known = {
            KEYS.customer(IdKind.USER, user): Known.nobody()
            if user in self.refusing
            else Known(state, personalise=True, email=False)
            for user, state in self.users.items()
        }
        stranger = Known(UserState.unknown(), personalise=True, email=False)
        found = [next((known[key] for key in one if key in known), stranger) for one in keys]
        return Found(found, {key: self.lists[key] for key in errand.wanted if key in self.lists})


class UnreachableStates:
    incomplete = False

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        raise Unavailable("no answer", reason="STATE_UNAVAILABLE")


def recommender(
    store: StateReader,
    shelf: Shelf | None = None,
    *,
    batch_size: int = 32,
    registry: Registry | None = None,
    behind: bool = False,
) -> Recommender:
    return Recommender(
        shelf or Shelf(),
        store,
        KEYS,
        chance=lambda n: bytes(n),
        batch_size=batch_size,
        metrics=AnswerMetrics.of(registry or Registry()),
        behind=lambda: behind,
    )


def asked_by(user: str, placement: str = "home", **fields: object) -> Query:
    return replace(shop.query(placement, **fields), user_id=user)


ANNA = {"anna": shop.bought("coffee", days=2.0)}


async def test_stranger_gets_the_bestsellers_in_a_full_list() -> None:
    answer = await recommender(KnownStates()).recommend(asked_by("nobody"))

    assert answer.item_ids == ("bread", "butter", "jam", "coffee")
    assert [item.position for item in answer.items] == [1, 2, 3, 4]
    assert (answer.tier, answer.degraded) == (Tier.POPULAR, "")
    assert answer.items[0].title == "Bread"
    assert answer.items[0].source == "popular"


async def test_known_customer_gets_what_goes_with_their_purchase() -> None:
    answer = await recommender(KnownStates(ANNA)).recommend(asked_by("anna", "email"))

    assert answer.item_ids[0] == "milk"
    assert "coffee" not in answer.item_ids
    assert answer.tier is Tier.PERSONAL
    assert answer.items[0].reason.anchors == ("coffee",)


async def test_customer_who_refuses_gets_the_page_and_no_profile() -> None:
    store = KnownStates(ANNA, refusing=frozenset({"anna"}))

    on_home = await recommender(store).recommend(asked_by("anna"))
    beside_coffee = await recommender(store).recommend(
        asked_by("anna", "product", seeds=(ItemId("coffee"),))
    )

    assert (on_home.tier, on_home.personalised) == (Tier.POPULAR, False)
    assert len(on_home.items) == 4
    assert (beside_coffee.tier, beside_coffee.items[0].item_id) == (Tier.SESSION, "milk")


@pytest.mark.parametrize(
    ("incomplete", "behind", "said"),
    [(False, False, ""), (True, False, "STATE_BEHIND"), (False, True, "STATE_BEHIND")],
)
async def test_answer_says_when_the_store_lacks_what_was_acknowledged(
    incomplete: bool, behind: bool, said: str
) -> None:
    asked = recommender(KnownStates(ANNA, incomplete=incomplete), behind=behind)

    answer = await asked.recommend(asked_by("anna", "email"))

    assert answer.degraded == said
    assert answer.item_ids[0] == "milk"


async def test_answer_to_whom_the_store_cannot_tell_says_so_and_others_do_not() -> None:
    registry = Registry()
    untold = KnownStates(ANNA, refusing=frozenset({"anna"}))
    asking = recommender(untold, registry=registry)

    anna, ben = await asking.recommend_batch([asked_by("anna"), asked_by("ben")])

    assert (anna.personalised, anna.degraded, len(anna.items)) == (False, "STATE_BEHIND", 4)
    assert (ben.personalised, ben.degraded) == (True, "")
    assert totals(registry)["recommendations_degraded"] == 1


async def test_hidden_item_leaves_a_list_that_stays_full() -> None:
    store = KnownStates({"anna": shop.state((EventType.HIDE, "bread", 1.0))})

    answer = await recommender(store).recommend(asked_by("anna"))

    assert answer.item_ids == ("butter", "jam", "coffee", "milk")


async def test_purchase_of_today_is_not_offered_at_home_but_later_it_is() -> None:
    store = KnownStates({"anna": shop.bought("coffee", days=0.5)})
    asking = recommender(store)

    today = await asking.recommend(asked_by("anna", limit=9))
    later = await asking.recommend(asked_by("anna", limit=9, now=shop.NOW + timedelta(days=3)))

    assert "coffee" not in today.item_ids
    assert "coffee" in later.item_ids


async def test_longest_list_holds_everything_for_sale_once() -> None:
    answer = await recommender(KnownStates()).recommend(asked_by("nobody", limit=500))

    assert sorted(answer.item_ids) == sorted(set(shop.ITEMS) - {shop.SOLD_OUT})


async def test_store_outage_serves_bestsellers_and_says_so() -> None:
    registry = Registry()
    asking = recommender(UnreachableStates(), registry=registry)

    answer = await asking.recommend(asked_by("anna"))

    assert answer.item_ids == ("bread", "butter", "jam", "coffee")
    assert answer.degraded == "STATE_UNAVAILABLE"
    assert totals(registry)["recommendations_degraded"] == 1


async def test_batch_equals_its_queries_one_by_one() -> None:
    users = ("anna", "nobody", "ben", "cara")
    states = {
        "anna": shop.bought("coffee", "milk", days=2.0),
        "ben": shop.state((EventType.HIDE, "bread", 1.0), (EventType.CLICK, "soap", 0.1)),
        "cara": shop.bought("bread", days=40.0),
    }
    queries = [asked_by(user, place) for place in PLACEMENTS for user in users]
    queries[1] = replace(queries[1], seeds=(ItemId("tea"),), limit=7)
    asking = recommender(KnownStates(states))

    together = await asking.recommend_batch(queries)

    alone = [await asking.recommend(query) for query in queries]
    assert [_content(one) for one in together] == [_content(one) for one in alone]


async def test_calls_that_wait_together_are_read_in_one_round_trip() -> None:
    store = KnownStates(ANNA)
    asking = recommender(store)

    answers = await asyncio.gather(*(asking.recommend(asked_by("anna")) for _ in range(10)))

    assert store.reads == [10]
    assert len({answer.item_ids for answer in answers}) == 1


async def test_crowd_is_answered_in_batches_of_bounded_size() -> None:
    store = KnownStates()
    asking = recommender(store, batch_size=4)

    await asyncio.gather(*(asking.recommend(asked_by("nobody")) for _ in range(10)))

    assert sum(store.reads) == 10
    assert max(store.reads) == 4


async def test_request_keeps_the_snapshot_it_started_with() -> None:
    shelf = Shelf()

    def swap() -> None:
        shelf.snapshot = Snapshot.of(shop.bundle("v2"), PLACEMENTS)

    asking = recommender(KnownStates(gate=swap), shelf)

    first = await asking.recommend(asked_by("anna"))
    second = await asking.recommend(asked_by("anna"))

    assert (first.bundle_version, second.bundle_version) == ("v1", "v2")


async def test_unknown_placement_is_refused_without_harm_to_others() -> None:
    asking = recommender(KnownStates())

    refused, answered = await asyncio.gather(
        asking.recommend(asked_by("anna", "checkout")),
        asking.recommend(asked_by("anna")),
        return_exceptions=True,
    )

    assert isinstance(refused, NotFound)
    assert refused.reason == "UNKNOWN_PLACEMENT"
    assert "email, home, product" in str(refused)
    assert isinstance(answered, Recommendation)


@dataclass(frozen=True)
class FailsForOne:
    """A filter with a fault that one customer brings out."""

    def narrow(self, contexts: Contexts, eligible: object) -> object:
        if any(query.user_id == "unlucky" for query in contexts.queries):
            raise ValueError("a fault of our own")
        return eligible


async def test_query_that_fails_takes_none_of_its_batch_with_it() -> None:
    home = SHOP.pipelines["home"]
    faulty = replace(home, filters=(NamedFilter("faulty", FailsForOne()), *home.filters))  # type: ignore[arg-type]
    shelf, registry = (
        Shelf(replace(SHOP, placements=replace(SHOP.placements, pipelines={"home": faulty}))),
        Registry(),
    )
    asking = recommender(KnownStates(), shelf, registry=registry)

    users = ("anna", "unlucky", "ben")
    answers = await asyncio.gather(
        *(asking.recommend(asked_by(user)) for user in users), return_exceptions=True
    )

    assert [isinstance(answer, Recommendation) for answer in answers] == [True, False, True]
    assert totals(registry)["recommendations_failed"] == 1


class BrokenStates:
    incomplete = False

    async def find(self, keys: Sequence[Sequence[StateKey]], errand: Errand) -> Found:
        return Found([], {})  # against the protocol: an answer for each


async def test_fault_of_our_own_reaches_the_caller_and_leaves_nobody_waiting() -> None:
    asking = recommender(BrokenStates())

    for _ in range(2):
        with pytest.raises(ValueError, match="zip"):
            await asyncio.wait_for(asking.recommend(asked_by("anna")), 10)


async def test_caller_who_gives_up_does_not_hold_up_the_others() -> None:
    store = KnownStates()
    asking = recommender(store)
    gone = asyncio.create_task(asking.recommend(asked_by("anna")))
    await asyncio.sleep(0)
    gone.cancel()

    answer = await asking.recommend(asked_by("ben"))

    assert answer.items
    assert store.reads == [1]


async def test_without_a_release_there_is_no_answer_but_a_next_step() -> None:
    with pytest.raises(NotReady, match="recsys train") as caught:
        await recommender(KnownStates(), Shelf(None)).recommend(asked_by("anna"))

    assert caught.value.reason == "NO_RELEASE"


async def test_ids_the_release_does_not_know_are_named() -> None:
    query = asked_by("anna", "product", seeds=(ItemId("coffee"), ItemId("kiwi")))

    answer = await recommender(KnownStates()).recommend(query)

    assert answer.missing_ids == ("kiwi",)
    assert answer.item_ids[0] == "milk"
    assert answer.tier is Tier.SESSION


async def test_token_says_which_list_it_is_of() -> None:
    answer = await recommender(KnownStates()).recommend(asked_by("anna"))

    token = AttributionToken.decode(answer.attribution_token)
    assert (token.placement, token.bundle_version, token.time) == ("home", "v1", shop.NOW)


def _content(answer: Recommendation) -> Recommendation:
    """Return the answer with scores rounded: sums over a batch may end in another last bit."""
    items = tuple(replace(item, score=round(item.score, 4)) for item in answer.items)
    return replace(answer, items=items)


async def test_page_is_filled_slot_by_slot_with_one_read_and_no_item_twice() -> None:
    store = KnownStates(ANNA)
    page = Page(tuple(asked_by("anna", name) for name in ("email", "home", "product")))

    lists = await recommender(store).recommend_page(page)

    shown = [item for answer in lists for item in answer.item_ids]
    assert [answer.placement for answer in lists] == ["email", "home", "product"]
    assert len(shown) == len(set(shown)) == 3 + 4 + 2  # all that is sold: the third asks for three
    assert store.reads == [1]


async def test_report_says_why_a_list_is_as_long_as_it_is() -> None:
    page = Page((asked_by("nobody", "home"), asked_by("nobody", "home", limit=8)))

    _, second = await recommender(KnownStates()).recommend_page(page)

    assert second.fill is not None
    removed = [(one.name, one.n_items) for one in second.fill.removed]
    assert removed == [("available", 1), ("not_hidden", 0), ("not_seeds", 0), ("not_purchased", 0)]
    assert second.fill == FillReport(8, 9, 5, on_page=4, removed=second.fill.removed)


async def test_page_with_an_unknown_placement_is_refused_and_others_are_not() -> None:
    asking = recommender(KnownStates())

    refused, filled = await asyncio.gather(
        asking.recommend_page(Page((asked_by("anna"), asked_by("anna", "checkout")))),
        asking.recommend_page(Page((asked_by("anna"),))),
        return_exceptions=True,
    )

    assert isinstance(refused, NotFound)
    assert isinstance(filled, tuple)


async def test_items_of_a_fallback_stand_behind_and_are_counted() -> None:
    again = parse_placements(
        shop.PLACEMENTS
        + """
[placements.again]
situation = "visit"
size = 3
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"
"""
    )
    shelf = Shelf(Snapshot.of(shop.bundle("v1"), again))

    answer = await recommender(KnownStates(ANNA), shelf).recommend(asked_by("anna", "again"))

    assert answer.item_ids[0] == "coffee"
    assert [item.position for item in answer.items] == [1, 2, 3]
    assert answer.fill is not None
    assert (answer.fill.returned, answer.fill.from_fallback) == (3, 2)


@pytest.mark.parametrize(("market", "tier"), [("DE", Tier.SEGMENT), ("FR", Tier.POPULAR)])
async def test_list_of_its_fallback_alone_is_said_to_rest_on_what_that_rests_on(
    market: str, tier: Tier
) -> None:
    again = """
[placements.again]
size = 3
sources = [{ kind = "buy_again", k = 10 }]
fallback = "home"
"""
    tea = np.array([shop.ROW["tea"]], dtype=np.int64)
    of_market = Trends.of(("DE",), Activity(tea, np.full(1, 300.0), np.full(1, 300.0)), 0.1)
    snapshot = Snapshot.of(shop.bundle("v1"), parse_placements(shop.PLACEMENTS + again))
    asking = recommender(KnownStates(), Shelf(snapshot.wanting(of_market)))

    answer = await asking.recommend(asked_by("nobody", "again", market=market))

    assert answer.fill
    assert answer.fill.from_fallback == len(answer.items) == 3
    assert answer.tier is tier


async def test_filter_counts_inside_the_search_so_the_list_is_full() -> None:
    query = asked_by("nobody", filter="price >= 4 and price <= 7")

    answer = await recommender(KnownStates()).recommend(query)

    assert answer.item_ids == ("coffee", "milk", "sugar", "soap")
    assert answer.fill is not None
    assert [(one.name, one.n_items) for one in answer.fill.removed[-2:]] == [
        ("price >= 4", 3),
        ("price <= 7", 2),
    ]


async def test_filter_may_speak_of_the_page_and_of_who_asks() -> None:
    seeds = (ItemId("milk"),)
    dearer = asked_by("nobody", "product", seeds=seeds, filter="price > context.seed.price")
    known = asked_by("anna", filter="category in customer.categories", limit=9)

    answers = await recommender(KnownStates(ANNA)).recommend_batch([dearer, known])

    assert set(answers[0].item_ids) <= {"sugar", "soap", "sponge", "tea"}
    assert set(answers[1].item_ids) == {"coffee", "tea"}


@pytest.mark.parametrize(
    ("wrong", "position"), [("price >", 7), ("prize > 3", 0), ('price > "dear"', 8)]
)
async def test_wrong_filter_is_refused_with_its_place_and_no_other_is(
    wrong: str, position: int
) -> None:
    asking = recommender(KnownStates())
    slots = (asked_by("anna"), asked_by("anna", filter=wrong))

    alone, paged, answered = await asyncio.gather(
        asking.recommend(slots[1]),
        asking.recommend_page(Page(slots, slotted=True)),
        asking.recommend(slots[0]),
        return_exceptions=True,
    )

    assert isinstance(alone, InvalidFilter)
    assert isinstance(paged, InvalidFilter)
    assert (alone.field, paged.field) == ("filter", "slots[1].filter")
    assert alone.position == position
    assert isinstance(answered, Recommendation)
