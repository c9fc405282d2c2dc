"""Models that learned from somebody who is erased go once another is served."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from recsys.data_folder import TRAINING_LOCK
from recsys.releases import move_pointer, versions
from serving.erasure.trained import training_under_way
from tests.serving.erasure.shops import BERT, HERS, NOON, Shop
from training.lock import training_lock


def release(shop: Shop, version: str, erased_through: int, folder: Path | None = None) -> None:
    home = (folder or shop.places.releases) / version
    home.mkdir(parents=True)
    (home / "manifest.json").write_text(json.dumps({"erased_through": erased_through}))


def serve(shop: Shop, version: str) -> None:
    move_pointer(shop.places.releases, version, reason="test", now=NOON)


@contextmanager
def training(shop: Shop) -> Iterator[None]:
    """Hold what a training run holds."""
    with (shop.folder / TRAINING_LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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


async def test_receipt_stays_open_while_a_training_may_still_write_a_model_of_hers(
    shop: Shop,
) -> None:
    copy = shop.places.artifacts / "1" / "run" / "artifacts"

    with training(shop):
        during = await shop.erase(*HERS)
        release(shop, "bundle", 0, copy)  # its run is refused, and recorded
    (after,) = await shop.eraser().run()

    assert set(during.left) == {"models"}
    assert "training is under way" in during.left["models"]
    assert (during.waits_for_models, after.left) == (True, {})
    assert after.finished
    assert not (copy / "bundle").exists()


async def test_training_is_under_way_for_as_long_as_its_lock_is_held(shop: Shop) -> None:
    before = training_under_way(shop.folder)
    with training_lock(shop.folder):
        during = training_under_way(shop.folder)

    assert (before, during, training_under_way(shop.folder)) == (False, True, False)
