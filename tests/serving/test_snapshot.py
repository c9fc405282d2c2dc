from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from recsys.bundle import ModelBundle
from recsys.models.popularity import PopularityModel
from recsys.pipeline.placement import parse_placements
from recsys.releases import move_pointer
from serving.metrics import Registry, ReleaseMetrics, totals
from serving.releases import ReleaseFolder
from serving.snapshot import SnapshotKeeper
from tests import shop


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def keeper(tmp_path: Path, registry: Registry) -> SnapshotKeeper:
    placements, metrics = parse_placements(shop.PLACEMENTS), ReleaseMetrics.of(registry)
    return SnapshotKeeper(ReleaseFolder(tmp_path), placements, lambda: shop.NOW, metrics)


def promote(folder: Path, version: str) -> None:
    move_pointer(folder, version, reason="test", now=shop.NOW)


def publish(folder: Path, bundle: ModelBundle) -> None:
    bundle.save(folder / bundle.version)
    promote(folder, bundle.version)


def version(keeper: SnapshotKeeper) -> str | None:
    return keeper.snapshot.bundle.version if keeper.snapshot else None


async def test_nothing_is_served_before_the_first_release(keeper: SnapshotKeeper) -> None:
    assert not await keeper.check()
    assert keeper.snapshot is None


async def test_each_move_of_the_pointer_is_followed_once(
    keeper: SnapshotKeeper, tmp_path: Path
) -> None:
    publish(tmp_path, shop.bundle("v1"))
    first = await keeper.check(), version(keeper)
    publish(tmp_path, shop.bundle("v2"))
    second = await keeper.check(), version(keeper)
    promote(tmp_path, "v1")
    third = await keeper.check(), version(keeper)

    assert (first, second, third) == ((True, "v1"), (True, "v2"), (True, "v1"))
    assert not await keeper.check()


async def test_corrupt_release_is_counted_once_and_the_old_one_kept(
    keeper: SnapshotKeeper, tmp_path: Path, registry: Registry
) -> None:
    publish(tmp_path, shop.bundle("v1"))
    await keeper.check()
    publish(tmp_path, shop.bundle("v2"))
    (tmp_path / "v2" / "prices.npy").write_bytes(b"torn")

    changed = [await keeper.check(), await keeper.check()]

    assert (changed, version(keeper)) == ([False, False], "v1")
    assert totals(registry)["releases_refused"] == 1


async def test_release_is_tried_again_when_it_is_promoted_again(
    keeper: SnapshotKeeper, tmp_path: Path
) -> None:
    promote(tmp_path, "v1")
    before = await keeper.check()
    publish(tmp_path, shop.bundle("v1"))

    after = await keeper.check()

    assert (before, after, version(keeper)) == (False, True, "v1")


async def test_release_whose_parts_do_not_fit_fails_warming_and_is_refused(
    keeper: SnapshotKeeper, tmp_path: Path, registry: Registry
) -> None:
    whole = shop.bundle("v1")
    short = PopularityModel.of(whole.popularity.counts[:3].copy())
    wrong = replace(short, order=short.order + 100)

    publish(tmp_path, replace(whole, popularity=wrong))

    assert not await keeper.check()
    assert totals(registry)["releases_refused"] == 1
