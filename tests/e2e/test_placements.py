"""The ready placements through a real server, each as a shop would ask for it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recsys.errors import InvalidInput
from recsys.events import Event, EventType
from recsys.ids import ItemId
from recsys.items import Item
from recsys.pipeline.placement import DEFAULT_PLACEMENTS, read_placements
from recsys.query import ReasonCode
from serving.client import RecsysClient, Slot
from serving.clock import utc_now
from tests import shop
from tests.e2e.running import DataFolder, Server, event, wait_until

VIEW, CART, BUY = EventType.DETAIL_VIEW, EventType.ADD_TO_CART, EventType.PURCHASE
READY = sorted(read_placements(DEFAULT_PLACEMENTS))
WITH_WHAT_IS_AT_HAND = ("email", "search_no_results", "rerank", "abandoned")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    path = Path(tempfile.mkdtemp(prefix="rs-"))
    data = DataFolder(path).fill()
    shutil.copy(DEFAULT_PLACEMENTS, path / "placements.toml")
    data.publish(shop.bundle("v1"))
    data.promote("v1")
    server = Server.ready(data)
    yield server
    server.end()
    shutil.rmtree(path)


@pytest.fixture
def client(server: Server) -> Iterator[RecsysClient]:
    with server.client() as one:
        yield one


def did(user: str, *steps: tuple[EventType, str, float]) -> list[Event]:
    """Return what a user did with items so many days ago."""
    now = utc_now()
    return [
        replace(event(kind, item, user), time=now - timedelta(days=days))
        for kind, item, days in steps
    ]


@pytest.mark.parametrize("placement", READY)
def test_every_ready_placement_answers_a_stranger_and_someone_known(
    client: RecsysClient, placement: str
) -> None:
    known = f"known to {placement}"
    client.write_events(did(known, (VIEW, "coffee", 0.1), (BUY, "bread", 9.0)))
    page = {"seeds": ["butter"], "search": "dairy", "cart": ["soap"], "item_fields": ["price"]}

    stranger = client.recommend(placement)
    answer = client.recommend(placement, user_id=known, **page)  # type: ignore[arg-type]

    assert stranger.placement == answer.placement == placement
    assert placement in WITH_WHAT_IS_AT_HAND or not {"butter", "soap"} & set(answer.item_ids)
    assert shop.SOLD_OUT not in (*answer.item_ids, *stranger.item_ids)
    assert len(set(answer.item_ids)) == len(answer.item_ids)


def test_recently_viewed_and_abandoned_say_what_was_done_newest_first(
    client: RecsysClient,
) -> None:
    steps = [(VIEW, "jam", 3.0), (VIEW, "coffee", 1.0), (CART, "jam", 2.9), (CART, "milk", 0.5)]
    client.write_events(did("ida", *steps))

    seen = client.recommend("recently_viewed", user_id="ida")
    left = client.recommend("abandoned", user_id="ida", language="en")

    assert seen.item_ids == ("coffee", "jam")
    assert {item.reason.code for item in seen.items} == {ReasonCode.SEEN_BEFORE}
    assert left.item_ids == ("milk", "jam")
    assert left.items[0].reason.code is ReasonCode.LEFT_IN_CART
    assert left.items[0].reason.text == "You left this in your cart"
    assert client.recommend("recently_viewed").item_ids == ()


def test_because_you_viewed_names_what_it_is_about_and_twice_on_a_page_two_things(
    client: RecsysClient,
) -> None:
    client.write_events(did("joe", (VIEW, "soap", 3.0), (VIEW, "coffee", 1.0)))

    page = client.recommend_page(
        [Slot("because_you_viewed", "one"), Slot("because_you_viewed", "two")], user_id="joe"
    )

    assert (page["one"].about, page["two"].about) == (("coffee",), ("soap",))
    assert set(page["one"].item_ids) <= {"milk", "sugar"}
    assert set(page["two"].item_ids) == {"sponge"}
    assert page["two"].items[0].reason.anchors == ("soap",)


def test_buy_again_tells_the_date_and_the_usual_quantity(client: RecsysClient) -> None:
    weekly = [(BUY, "milk", days) for days in (6.0, 13.0, 20.0)]
    client.write_events(
        [replace(one, quantity=2.0) for one in did("kim", *weekly)]
        + did("kim", (BUY, "tea", 30.0), (BUY, "tea", 31.0))
    )

    answer = client.recommend("buy_again", user_id="kim")

    first = answer.items[0]
    assert (first.item_id, first.reason.code) == ("milk", ReasonCode.DUE_AGAIN)
    assert first.reason.usual_quantity == 2.0
    assert first.reason.due is not None
    assert abs(first.reason.due - utc_now()) < timedelta(days=2)
    assert set(answer.item_ids) == {"milk", "tea"}


def test_candidates_are_ranked_for_who_asks_and_nothing_else_is_listed(
    client: RecsysClient,
) -> None:
    client.write_events(did("lea", (BUY, "coffee", 20.0)))
    mine = ["bread", "sugar", "cake", "soap", "nonesuch"]

    answer = client.recommend("rerank", user_id="lea", candidates=mine)
    page = client.recommend_page(
        [Slot("rerank", "one", candidates=mine), Slot("rerank", "two", candidates=["sugar", "tea"])]
    )

    assert set(answer.item_ids) == {"bread", "sugar", "soap"}
    assert answer.item_ids[0] == "sugar"
    assert answer.missing_ids == ("nonesuch",)
    assert answer.fill
    removed = {one.name: one.n_items for one in answer.fill.removed if one.n_items}
    assert removed == {"candidates": 6, "available": 1}
    assert set(page["two"].item_ids) == {"tea"}
    assert page["two"].missing_ids == ("nonesuch",)


def test_a_search_that_found_nothing_finds_what_is_nearly_so_written(
    client: RecsysClient,
) -> None:
    answer = client.recommend("search_no_results", search="Bakery buter", limit=4, language="en")

    assert answer.item_ids[:2] == ("bread", "butter")
    assert answer.items[0].reason.code is ReasonCode.MATCHES_SEARCH
    assert answer.items[0].reason.text == "Matches what you searched for"
    assert answer.fill
    assert answer.fill.from_fallback == 2


def test_an_item_described_now_is_new_on_sale_and_can_be_searched_for(server: Server) -> None:
    kettle = Item(ItemId("kettle"), "Steel kettle", "Kitchen", price=10.0, sale_price=8.0)
    with server.client(channels=6) as client:
        client.recommend("search_no_results", search="kettle")
        client.upsert_items([kettle])

        def everywhere() -> bool:
            lists = [client.recommend("new_arrivals").item_ids for _ in range(6)]
            return all(one == ("kettle",) for one in lists)

        wait_until(everywhere, "the new item in every worker")
        found = [client.recommend("search_no_results", search="ketle") for _ in range(6)]
        reduced = client.recommend("on_sale", user_id="ned")
        client.delete_items(["kettle"])

        assert {one.item_ids[0] for one in found} == {"kettle"}
        assert reduced.item_ids == ("kettle",)


def test_groups_come_best_first_with_their_items(client: RecsysClient) -> None:
    client.write_events(did("max", (BUY, "soap", 20.0)))

    groups = client.recommend_groups("home", "category", user_id="max", items_per_group=1)
    of_nobody = client.recommend_groups("home", "category", filter="price <= 3")

    assert groups.groups[0].value == "Cleaning"
    assert [len(group.items) for group in groups.groups] == [1] * len(groups.groups)
    assert groups.groups[0].items[0].reason.text
    assert groups.groups[0].items[0].fields == ()
    assert {group.value for group in of_nobody.groups} == {"Bakery", "Dairy", "Pantry"}
    with pytest.raises(InvalidInput, match="group_by"):
        client.recommend_groups("home", "price")
    with pytest.raises(InvalidInput, match="level"):
        client.recommend_groups("home", "brand", level=1)
    checked = client.recommend_groups("home", "category", validate_only=True)
    assert (checked.groups, checked.bundle_version) == ((), "v1")


def test_groups_are_shown_on_the_command_line(server: Server) -> None:
    words = ("recommend", "--group-by", "category", "--address", server.address, "--json")

    done = server.data.recsys(*words)

    found = json.loads(done.stdout)
    assert found["placement"] == "home"
    assert {group["value"] for group in found["groups"]} >= {"Bakery", "Dairy"}


def test_an_item_that_is_no_candidate_is_explained_so(client: RecsysClient) -> None:
    found = client.explain("rerank", "tea", candidates=["bread"], language="en")

    assert found.refusals[0].filter == "candidates"
    assert found.findings[0].text == "The filter candidates refuses the item"
