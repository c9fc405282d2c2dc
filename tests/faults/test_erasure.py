"""An erasure that is killed at any of its steps, and finished later, ends as one that was not."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from serving.state.embedded import EmbeddedValkey
from tests.faults.disk import Disk
from tests.faults.nursery import Nursery, Work
from tests.faults.power import Cut, images
from tests.faults.scale import SEED, runs
from tests.serving.erasure.shops import ANNA, HERS, Shop, plant

DEATHS = runs(24, 10_000)
CUTS = runs(20, 500)
AT_A_TIME = 2


def everything(shop: Shop) -> dict[str, Any]:
    """Return what is left in the stores, but for the names of files."""
    texts = sorted(one for folder in shop.places.texts.values() for one in folder.rglob("*.*"))
    return {
        "events": shop.rows("events"),
        "customers": shop.rows("customers"),
        "log": shop.event_ids(),
        "texts": [one.read_text() for one in texts if one.suffix != ".gz"],
    }


def holding(folder: Path) -> list[str]:
    """Return the files that hold one of her ids as it is."""
    ids = [one.value.encode() for one in HERS]
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if any(one in path.read_bytes() for one in ids)]


async def planted(folder: Path, valkey: EmbeddedValkey) -> None:
    """Make a shop in which an erasure is asked for."""
    shop = Shop(folder, valkey.address, f"{folder.name}:")
    shop.open()
    await plant(shop)
    shop.ask(*HERS)
    await shop.close()


async def copied(template: Path, folder: Path, valkey: EmbeddedValkey) -> Shop:
    """Return a copy of a shop, with a Redis that knows the events of its log."""
    shutil.copytree(template, folder)
    shop = Shop(folder, valkey.address, f"{folder.name}:")
    shop.open()
    await shop.store.apply(shop.records_in_log())
    await shop.profiles()
    return shop


async def test_death_at_any_step_is_made_up_for(
    nursery: Nursery, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    template = tmp_path / "template"
    await planted(template, valkey)
    whole = await copied(template, tmp_path / "whole", valkey)
    with Disk(whole.folder) as disk:
        await whole.eraser().run()
    wanted, steps = everything(whole), range(1, len(disk.steps) + 1)
    await whole.close()
    dying = sorted(Random(SEED).sample(steps, min(DEATHS, len(steps))))

    for first in range(0, len(dying), AT_A_TIME):
        some = dying[first : first + AT_A_TIME]
        shops = [await copied(template, tmp_path / f"d{n}", valkey) for n in some]
        for shop in shops:
            shop.writer.close()
        statuses = nursery.run(
            *(
                Work(
                    "tests.serving.erasure.children:erase",
                    (str(shop.folder), valkey.address.url, shop.prefix, n),
                )
                for shop, n in zip(shops, some, strict=True)
            )
        )
        assert statuses == [-9] * len(some), some
        for shop, n in zip(shops, some, strict=True):
            shop.open()
            await shop.eraser().run()
            assert everything(shop) == wanted, n
            assert holding(shop.folder) == [], n
            assert not await shop.known(ANNA), n
            assert all(one.finished for one in shop.receipts()), n
            await shop.close()
            shutil.rmtree(shop.folder)


@pytest.mark.parametrize("cut", Cut)
async def test_power_cut_at_any_step_is_made_up_for(
    cut: Cut, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    template = tmp_path / f"template-{cut}"
    await planted(template, valkey)
    shop = await copied(template, tmp_path / f"cut-{cut}", valkey)
    with Disk(shop.folder) as disk:
        await shop.eraser().run()
    wanted = everything(shop)
    await shop.close()
    into = tmp_path / "images"
    into.mkdir()

    for image in images(disk, cut, into, seed=SEED, every=max(1, len(disk.steps) // CUTS)):
        left = Shop(image.folder, valkey.address, f"{image.folder.name}:")
        left.open()
        await left.eraser().run()
        assert everything(left) == wanted, image.n_steps
        assert holding(left.folder) == [], image.n_steps
        await left.close()


@pytest.mark.parametrize("ledger_kept", [True, False])
async def test_restored_folder_forgets_again_what_the_ledger_names(
    ledger_kept: bool, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    folder = tmp_path / f"restored{ledger_kept}"
    shop = Shop(folder, valkey.address, f"{folder.name}:")
    shop.open()
    await plant(shop)
    shop.writer.close()
    shutil.copytree(folder, tmp_path / "backup")
    shop.writer.open()
    await shop.erase(*HERS)
    shop.writer.close()
    ledger = shop.places.ledger.read_bytes()

    shutil.rmtree(folder)
    shutil.copytree(tmp_path / "backup", folder)
    if ledger_kept:
        shop.places.ledger.parent.mkdir(exist_ok=True)
        shop.places.ledger.write_bytes(ledger)
    shop.open()
    await shop.store.apply(shop.records_in_log())  # as a restored store would know her
    await shop.eraser().run()

    assert (holding(folder) == []) == ledger_kept
    assert await shop.known(ANNA) == (not ledger_kept)
    await shop.close()
