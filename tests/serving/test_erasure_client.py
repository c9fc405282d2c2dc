"""Customers as the clients export and erase them, over a real log and a real store."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import orjson
import pytest

from recsys.customers import Identifier, IdKind
from recsys.errors import InvalidInput, NotFound
from recsys.events import Event, EventType
from recsys.ids import ItemId
from serving.api.erasure_client_codec import AskedErasure, Erasure, ErasuresPage
from serving.client import Client, RecsysClient
from serving.clock import utc_now
from tests.serving.desk import Desk

ANNA = Identifier(IdKind.USER, "anna")
PHONE = Identifier(IdKind.VISITOR, "phone")
NOW = utc_now().replace(microsecond=0)


def did(kind: EventType, item: str) -> Event:
    time = NOW - timedelta(hours=1)
    return Event(f"{kind}-{item}", kind, time, ItemId(item), user_id=ANNA.value)


async def exported(client: Client, identifier: Identifier) -> Any:
    return orjson.loads(b"".join([part async for part in client.export_customer(identifier)]))


async def test_export_holds_what_was_done_and_said_under_every_linked_id(
    desk: Desk, client: Client
) -> None:
    await desk.did(did(EventType.PURCHASE, "tea"), did(EventType.DETAIL_VIEW, "milk"))
    await client.link_identifiers([(ANNA, PHONE)])
    await client.set_attributes(PHONE, {"tier": "gold"})

    found = await exported(client, PHONE)

    assert [one["item_id"] for one in found["events"]] == ["tea", "milk"]
    assert found["attributes"] == {"tier": "gold"}
    assert len(found["identifiers"]) == 2


async def test_export_of_nobody_known_is_a_whole_document_without_anything(client: Client) -> None:
    found = await exported(client, ANNA)

    assert found["identifiers"] == [{"kind": "user", "value": "anna"}]
    assert (found["events"], found["customers"], found["campaigns"]) == ([], [], [])


async def test_erased_customer_is_unknown_at_once_and_the_erasure_is_told_of(
    desk: Desk, client: Client
) -> None:
    await desk.did(did(EventType.PURCHASE, "tea"))
    await client.link_identifiers([(ANNA, PHONE)])
    before = await client.get_customer(PHONE)

    asked = await client.erase_customer(PHONE)

    after = await client.get_customer(PHONE)
    assert (len(before.identifiers), len(before.purchases)) == (2, 1)
    assert (after.identifiers, after.purchases, after.degraded) == ((PHONE,), (), False)
    assert (asked.identifiers, asked.log_position, asked.degraded) == (2, 2, False)
    assert asked.erased_through >= NOW
    told = await client.get_erasure(asked.erasure_id)
    assert (told.identifiers, told.alone, told.stores, told.finished) == (2, False, (), None)


async def test_erasures_are_listed_from_the_newest_page_by_page(client: Client) -> None:
    asked = [
        (await client.erase_customer(ANNA, only_this_identifier=True)).erasure_id for _ in range(3)
    ]

    first = await client.list_erasures(page_size=2)
    last = await client.list_erasures(first.next_page_token, page_size=2)

    listed = [one.erasure_id for one in (*first.erasures, *last.erasures)]
    assert listed == asked[::-1]
    assert all(one.alone for one in first.erasures)
    assert last.next_page_token == ""


async def test_erasure_that_nobody_asked_for_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound) as caught:
        await client.get_erasure("0" * 32)

    assert caught.value.reason == "UNKNOWN_ERASURE"


async def test_id_that_is_none_is_neither_erased_nor_exported(client: Client) -> None:
    nobody = Identifier(IdKind.USER, "")

    with pytest.raises(InvalidInput) as erased:
        await client.erase_customer(nobody)
    with pytest.raises(InvalidInput) as export:
        await exported(client, nobody)

    assert (erased.value.field, export.value.field) == ("identifier.value", "identifier.value")
    assert (await client.list_erasures()).erasures == ()


async def test_client_without_asyncio_exports_and_erases_the_same(desk: Desk) -> None:
    await desk.did(did(EventType.PURCHASE, "tea"))

    def asked() -> tuple[bytes, AskedErasure, Erasure, ErasuresPage]:
        with RecsysClient(desk.address, timeout_ms=10_000) as client:
            document = b"".join(client.export_customer(ANNA))
            erased = client.erase_customer(ANNA)
            told = client.get_erasure(erased.erasure_id)
            return document, erased, told, client.list_erasures()

    document, erased, told, page = await asyncio.to_thread(asked)

    assert [one["item_id"] for one in orjson.loads(document)["events"]] == ["tea"]
    assert (erased.identifiers, erased.degraded) == (1, False)
    assert page == ErasuresPage((told,), "")


async def test_client_without_asyncio_names_the_reason_of_a_failed_export(desk: Desk) -> None:
    def asked() -> None:
        with RecsysClient(desk.address, timeout_ms=10_000) as client:
            list(client.export_customer(Identifier(IdKind.USER, "")))

    with pytest.raises(InvalidInput) as caught:
        await asyncio.to_thread(asked)

    assert caught.value.field == "identifier.value"
