"""Erasures as a worker asks for them: durable, at once where the store answers, and told of."""

from __future__ import annotations

from datetime import timedelta

import pytest

from recsys.errors import NotFound, Unavailable
from serving.erasure.asking import Erasures, receipts_of
from serving.port import held_port
from serving.state.address import parse_redis_url
from serving.state.erasing import StateErasing
from serving.state.redis_store import RedisStateStore
from tests.serving.erasure.shops import ANNA, ANNAS_BROWSER, BERT, PATIENT, Shop


def erasures(shop: Shop, *, redis: str = "") -> Erasures:
    """Return what asks; redis: an address in place of the shop's."""
    address = parse_redis_url(redis) if redis else shop.address
    store = RedisStateStore(address, shop.keys, PATIENT) if redis else shop.store
    erasing = StateErasing(store, address, shop.keys)
    return Erasures(shop.places, shop.keys, erasing, clock=shop.clock)


async def test_erased_customer_is_noted_under_all_ids_and_out_of_the_live_state(
    shop: Shop,
) -> None:
    assert await shop.known(ANNA)

    asked = await erasures(shop).erase(ANNA, alone=False)

    assert shop.ledger.entries() == (asked.entry,)
    assert len(asked.entry.hashes) == 2
    assert not asked.degraded
    assert not await shop.known(ANNA)
    assert await shop.known(BERT)


async def test_one_identifier_alone_leaves_what_is_linked(shop: Shop) -> None:
    asked = await erasures(shop).erase(ANNAS_BROWSER, alone=True)

    assert (len(asked.entry.hashes), asked.entry.alone) == (1, True)
    assert await shop.known(ANNA)


async def test_erasure_is_noted_while_the_store_is_away_and_done_when_it_is_back(
    shop: Shop,
) -> None:
    with held_port("127.0.0.1", 0) as port:
        asked = await erasures(shop, redis=f"redis://127.0.0.1:{port}/0").erase(ANNA, alone=False)

    assert asked.degraded
    assert shop.ledger.entries() == (asked.entry,)
    assert await shop.known(ANNA)
    await shop.eraser().run()
    assert not await shop.known(ANNA)


async def test_asking_again_is_harmless_before_and_after_it_is_done(shop: Shop) -> None:
    desk = erasures(shop)

    first = await desk.erase(ANNA, alone=False)
    second = await desk.erase(ANNA, alone=False)
    await shop.eraser().run()
    third = await desk.erase(ANNA, alone=False)
    await shop.eraser().run()

    asked = [one.entry.erasure_id for one in (third, second, first)]
    told = await desk.receipts(None, 10)
    assert [one.erasure_id for one in told] == asked
    assert all(one.finished for one in told)
    assert "a1" not in shop.event_ids()
    assert await shop.known(BERT)


async def test_receipt_tells_nothing_done_before_and_all_of_it_after(shop: Shop) -> None:
    desk = erasures(shop)
    asked = await desk.erase(ANNA, alone=False)

    begun = await desk.receipt(asked.entry.erasure_id)
    await shop.eraser().run()
    done = await desk.receipt(asked.entry.erasure_id)

    assert (begun.stores, begun.finished) == ((), "")
    assert {"state", "log", "lake"} <= {one.store for one in done.stores}
    assert done.finished


@pytest.mark.parametrize("erasure_id", ["", "0" * 32, "../erasures/x"])
async def test_id_of_no_erasure_is_not_found_even_where_a_file_has_its_name(
    shop: Shop, erasure_id: str
) -> None:
    await erasures(shop).erase(ANNA, alone=False)
    shop.places.receipts.mkdir(exist_ok=True)
    (shop.places.receipts / "x.json").write_text("{}")

    with pytest.raises(NotFound) as caught:
        await erasures(shop).receipt(erasure_id)

    assert caught.value.reason == "UNKNOWN_ERASURE"


async def test_erasures_are_paged_from_the_newest(shop: Shop) -> None:
    desk = erasures(shop)
    asked = []
    for _ in range(3):
        shop.now += timedelta(hours=1)
        asked.append((await desk.erase(BERT, alone=True)).entry)

    first = await desk.receipts(None, 2)
    last = await desk.receipts(first[-1].number, 2)

    assert [one.number for one in (*first, *last)] == [one.number for one in reversed(asked)]


async def test_whoever_is_erased_is_under_way_until_the_registers_are_clear(shop: Shop) -> None:
    desk = erasures(shop)
    before = desk.under_way((ANNA, BERT))

    await desk.erase(ANNA, alone=False)
    meanwhile = desk.under_way((ANNA, BERT))
    await shop.eraser().run()
    after = desk.under_way((ANNA, BERT))

    assert [set(one) for one in (before, meanwhile, after)] == [set(), {ANNA}, set()]


async def test_receipts_that_cannot_be_read_are_said_to_be_so(shop: Shop) -> None:
    asked = await erasures(shop).erase(ANNA, alone=False)
    (shop.places.receipts / f"{asked.entry.erasure_id}.json").mkdir()

    with pytest.raises(Unavailable) as caught:
        receipts_of(shop.places, shop.ledger.entries())

    assert caught.value.reason == "RECEIPTS_UNAVAILABLE"
