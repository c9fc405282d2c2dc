"""The catalog through the real service: a change is in every worker's answers within moments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from recsys.ids import ItemId
from recsys.items import Item, Offer, OfferUpdate
from serving.client import RecsysClient
from tests.e2e.running import Server, wait_until

MANY_CHANNELS = 12
"""So many that every worker has some."""
TEA = ItemId("tea")


def lists(client: RecsysClient, market: str = "") -> list[tuple[str, ...]]:
    """Return the whole shop as every connection shows it."""
    return [
        client.recommend("home", user_id="stranger", limit=20, market=market).item_ids
        for _ in range(MANY_CHANNELS)
    ]


def shown_everywhere(client: RecsysClient, item: str, market: str = "") -> Callable[[], bool]:
    return lambda: all(item in one for one in lists(client, market))


def shown_nowhere(client: RecsysClient, item: str, market: str = "") -> Callable[[], bool]:
    return lambda: not any(item in one for one in lists(client, market))


def test_item_that_sells_out_is_gone_from_every_worker_and_comes_back(server: Server) -> None:
    with server.client(channels=MANY_CHANNELS) as client:
        client.update_offers([OfferUpdate(TEA, stock=0.0)])
        wait_until(shown_nowhere(client, "tea"), "tea gone")

        client.update_offers([OfferUpdate(TEA, stock=3.0)])
        wait_until(shown_everywhere(client, "tea"), "tea back")
        assert shown_everywhere(client, "tea")()


def test_new_item_is_recommended_and_a_deleted_one_is_not(server: Server) -> None:
    with server.client(channels=MANY_CHANNELS) as client:
        told = client.upsert_items([Item(ItemId("rye"), title="Rye", category="Bakery")])
        wait_until(shown_everywhere(client, "rye"), "rye there")

        client.delete_items(["rye"])
        wait_until(shown_nowhere(client, "rye"), "rye gone")

    assert told.changed == 1


@pytest.mark.parametrize(
    "change",
    [
        {"hidden": True},
        {"available": False},
        {"expires": datetime.now(UTC) - timedelta(days=1)},
        {"available_from": datetime.now(UTC) + timedelta(days=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_item_that_may_not_be_shown_is_in_no_answer(
    server: Server, change: dict[str, object]
) -> None:
    plain = Item(TEA, "Tea", "Drinks", price=9.0)
    with server.client(channels=MANY_CHANNELS) as client:
        client.upsert_items([Item(TEA, "Tea", "Drinks", price=9.0, **change)])  # type: ignore[arg-type]
        wait_until(shown_nowhere(client, "tea"), "tea gone")
        assert shown_nowhere(client, "tea")()

        client.upsert_items([plain])
        wait_until(shown_everywhere(client, "tea"), "tea back")


def test_item_that_expires_while_it_is_served_leaves_by_itself(server: Server) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=3)
    with server.client(channels=MANY_CHANNELS) as client:
        client.upsert_items([Item(TEA, "Tea", "Drinks", expires=soon)])

        wait_until(shown_nowhere(client, "tea"), "tea gone")

        assert datetime.now(UTC) >= soon
        client.upsert_items([Item(TEA, "Tea", "Drinks")])
        wait_until(shown_everywhere(client, "tea"), "tea back")


def test_market_shows_what_is_sold_there(server: Server) -> None:
    german = Item(ItemId("jam"), "Jam", "Pantry", offers=(Offer("DE", 3.0), Offer("AT", stock=0)))
    with server.client(channels=MANY_CHANNELS) as client:
        client.upsert_items([german])

        wait_until(shown_nowhere(client, "jam", market="AT"), "jam gone from AT")
        assert shown_everywhere(client, "jam", market="DE")()
        assert shown_nowhere(client, "jam", market="CH")()
        assert shown_everywhere(client, "bread", market="CH")()

        client.upsert_items([Item(ItemId("jam"), "Jam", "Pantry")])
        wait_until(shown_everywhere(client, "jam", market="AT"), "jam back")


def test_variants_stand_in_a_list_once_as_one_that_can_be_sold(server: Server) -> None:
    small, large = (
        Item(ItemId(f"soda-{size}"), f"Soda {size}", "Drinks", group_id="soda")
        for size in ("small", "large")
    )
    with server.client(channels=MANY_CHANNELS) as client:
        client.upsert_items([small, large])
        wait_until(shown_everywhere(client, "soda-small"), "soda there")
        assert shown_nowhere(client, "soda-large")()

        client.update_offers([OfferUpdate(small.item_id, stock=0.0)])
        wait_until(shown_everywhere(client, "soda-large"), "the other soda")
        assert shown_nowhere(client, "soda-small")()

        client.delete_items(["soda-small", "soda-large"])
        wait_until(shown_nowhere(client, "soda-large"), "soda gone")
