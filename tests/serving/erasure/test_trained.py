"""Models that learned from somebody who is erased go once another is served."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

from recsys.releases import move_pointer, versions
from tests.serving.erasure.shops import BERT, HERS, NOON, Shop


def release(shop: Shop, version: str, erased_through: int, folder: Path | None = None) -> None:
    home = (folder or shop.places.releases) / version
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"erased_through": erased_through}))


def serve(shop: Shop, version: str) -> None:
    move_pointer(shop.places.releases, version, reason="test", now=NOON)


async def test_receipt_stays_open_until_a_release_without_her_is_served(shop: Shop) -> None:
    release(shop, "r1", 0)
    serve(shop, "r1")
    copy = shop.places.artifacts / "1" / "run" / "artifacts"
    release(shop, "bundle", 0, copy)

    receipt = await shop.erase(*HERS)

    assert receipt.left == {"models": "to be replaced by `recsys train`: r1"}
    assert receipt.waits_for_models
    assert versions(shop.places.releases) == ("r1",)

    release(shop, "r2", receipt.number)
    eraser = shop.eraser()
    (receipt,) = await eraser.run()
    assert not receipt.finished  # r1 is served still

    serve(shop, "r2")
    (receipt,) = await eraser.run()

    assert receipt.finished
    assert versions(shop.places.releases) == ("r2",)
    assert not (copy / "bundle").exists()
    assert await eraser.run() == []


async def test_model_that_read_before_the_erasure_was_through_is_replaced_too(shop: Shop) -> None:
    receipt = await shop.erase(*HERS)
    release(shop, "r1", receipt.number - 1)
    serve(shop, "r1")

    again = await shop.erase(*HERS)

    assert "r1" in again.left["models"]


async def test_without_models_nothing_is_left(shop: Shop) -> None:
    receipt = await shop.erase(*HERS)

    assert receipt.finished


async def test_release_closes_the_erasures_it_covers_and_no_later_ones(shop: Shop) -> None:
    release(shop, "r1", 0)
    serve(shop, "r1")
    first = await shop.erase(*HERS)
    release(shop, "r2", first.number)
    serve(shop, "r2")
    shop.now += timedelta(seconds=1)
    second = shop.ask(BERT)

    receipts = {one.erasure_id: one for one in await shop.eraser().run()}

    assert receipts[first.erasure_id].finished
    assert receipts[second.erasure_id].left == {"models": "to be replaced by `recsys train`: r2"}
