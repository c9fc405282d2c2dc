"""The service of the catalog over a real log: what is stored, what is told, what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protos.recsys.v1 import catalog_service_pb2 as pb
from recsys.errors import InvalidInput
from recsys.ids import ItemId
from recsys.items import Attribute, Item, Offer, OfferUpdate
from serving.api import catalog_client_codec as client
from serving.api import catalog_servicer
from serving.api.catalog_codec import item_of, message_of
from serving.api.catalog_servicer import CatalogServicer
from serving.log.sqlite_log import SqliteLog

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
TEA = Item(ItemId("tea"), title="Tea", price=3.0, currency="EUR")
RYE = Item(ItemId("rye"), title="Rye")
WHOLE = Item(
    ItemId("oil"),
    "Oil",
    "Grocery > Oil",
    "Olio",
    9.0,
    "EUR",
    False,
    "https://shop/oil",
    "https://shop/oil.png",
    "Cold pressed",
    7.5,
    12.0,
    "oils",
    True,
    NOON,
    NOON,
    (Attribute("size", "1 l"),),
    (Offer("DE", 8.0, "EUR", False, 7.0, 3.0), Offer("AT")),
)
CONTEXT: Any = None


@pytest.fixture
async def servicer(tmp_path: Path) -> AsyncIterator[CatalogServicer]:
    log = SqliteLog(tmp_path / "log.sqlite", clock=lambda: NOON)
    yield CatalogServicer(log)
    await log.close()


async def held(servicer: CatalogServicer, *item_ids: str) -> tuple[Item, ...]:
    answer = await servicer.GetItems(client.encode_named(item_ids), CONTEXT)
    return client.decode_items(answer)


@pytest.mark.parametrize("item", [TEA, WHOLE])
def test_item_crosses_the_wire_as_it_is(item: Item) -> None:
    assert item_of(pb.Item.FromString(message_of(item).SerializeToString())) == item


async def test_items_are_stored_and_those_at_fault_named(servicer: CatalogServicer) -> None:
    items = [TEA, replace(RYE, price=-1.0), WHOLE, replace(RYE, offers=(Offer("DE", stock=-2.0),))]

    told = client.decode_upserted(await servicer.UpsertItems(client.encode_items(items), CONTEXT))

    assert (told.changed, told.unchanged, told.log_position) == (2, 0, 2)
    faults = [(one.index, one.field, one.reason) for one in told.rejected]
    assert faults == [(1, "price", "INVALID_INPUT"), (3, "offers[0].stock", "INVALID_INPUT")]
    assert await held(servicer, "tea", "rye", "oil") == (TEA, WHOLE)


async def test_stock_and_price_change_and_nothing_else(servicer: CatalogServicer) -> None:
    await servicer.UpsertItems(client.encode_items([TEA, RYE]), CONTEXT)
    updates = [
        OfferUpdate(ItemId("tea"), stock=0.0),
        OfferUpdate(ItemId("oil"), stock=1.0),
        OfferUpdate(ItemId("rye"), price=-1.0),
    ]

    told = client.decode_updated(
        await servicer.UpdateOffers(client.encode_updates(updates), CONTEXT)
    )

    assert (told.changed, told.missing_ids) == (1, ("oil",))
    assert [one.field for one in told.rejected] == ["price"]
    assert await held(servicer, "tea", "rye") == (replace(TEA, stock=0.0), RYE)


async def test_deleted_item_is_gone_and_may_come_back(servicer: CatalogServicer) -> None:
    await servicer.UpsertItems(client.encode_items([TEA]), CONTEXT)

    told = client.decode_deleted(
        await servicer.DeleteItems(client.encode_removals(["tea", "oil"]), CONTEXT)
    )
    gone = await held(servicer, "tea")
    await servicer.UpsertItems(client.encode_items([TEA]), CONTEXT)

    assert (told.changed, told.missing_ids) == (1, ("oil",))
    assert (gone, await held(servicer, "tea")) == ((), (TEA,))


async def test_catalog_is_listed_page_by_page(servicer: CatalogServicer) -> None:
    items = [Item(ItemId(str(number))) for number in range(5)]
    await servicer.UpsertItems(client.encode_items(items), CONTEXT)

    pages, token, asked = [], "", True
    while asked:
        answer = await servicer.ListItems(client.encode_page(token, 2), CONTEXT)
        pages.append([item.item_id for item in client.decode_page(answer).items])
        token = answer.next_page_token
        asked = bool(token)

    assert pages == [["0", "1"], ["2", "3"], ["4"]]


async def test_many_changes_go_to_several_commits_and_are_told_as_one(
    servicer: CatalogServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog_servicer, "CHANGES_A_COMMIT", 2)
    items = [Item(ItemId(str(number))) for number in range(5)]

    told = client.decode_upserted(await servicer.UpsertItems(client.encode_items(items), CONTEXT))

    assert (told.changed, told.log_position) == (5, 5)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpsertItemsRequest(items=[pb.Item()] * 10_001), "items"),
        (pb.UpdateOffersRequest(updates=[pb.OfferUpdate()] * 10_001), "updates"),
        (pb.DeleteItemsRequest(item_ids=["tea", ""]), "item_ids[1]"),
        (pb.GetItemsRequest(item_ids=["tea"] * 1_001), "item_ids"),
        (pb.ListItemsRequest(page_size=-1), "page_size"),
        (pb.ListItemsRequest(page_token="tea"), "page_token"),
    ],
)
async def test_request_that_makes_no_sense_is_refused_whole(
    servicer: CatalogServicer, request_: Any, field: str
) -> None:
    method = getattr(servicer, type(request_).__name__.removesuffix("Request"))

    with pytest.raises(InvalidInput) as caught:
        await method(request_, CONTEXT)

    assert caught.value.field == field
