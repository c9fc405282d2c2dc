"""What is counted is served: by the snapshot of now, and by each that takes its place."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recsys.models.trends import Activity, Trends
from recsys.pipeline.placement import parse_placements
from recsys.releases import move_pointer
from serving.clock import utc_now
from serving.releases import ReleaseFolder
from serving.settings import ServingSettings, read_settings
from serving.snapshot import Snapshot, SnapshotKeeper
from serving.trends.file import Counts, write_counts
from serving.trends.follow import keep_wanting
from tests import shop

PLACEMENTS = parse_placements(shop.PLACEMENTS)


def counted(**usual: float) -> Trends:
    """Return trends in which these items are wanted in DE."""
    keys = np.array(sorted(shop.ROW[item] for item in usual), dtype=np.int64)
    amounts = np.array([usual[shop.ITEMS[row]] for row in keys.tolist()])
    return Trends.of(("DE",), Activity(keys, amounts, amounts), 0.1)


@pytest.fixture
async def keeper(tmp_path: Path) -> SnapshotKeeper:
    """Give a keeper that serves a release."""
    shop.bundle("v1").save(tmp_path / "v1")
    move_pointer(tmp_path, "v1", reason="test", now=shop.NOW)
    made = SnapshotKeeper(ReleaseFolder(tmp_path), PLACEMENTS, lambda: shop.NOW)
    await made.check()
    return made


def served(keeper: SnapshotKeeper) -> Snapshot:
    assert keeper.snapshot
    return keeper.snapshot


def wanted(keeper: SnapshotKeeper) -> list[str]:
    return shop.names(served(keeper).trends.popular("DE").rows)


async def test_counts_are_served_without_anything_made_anew(keeper: SnapshotKeeper) -> None:
    before = served(keeper)

    await keeper.want(counted(tea=300.0))

    assert wanted(keeper) == ["tea"]
    assert served(keeper).placements is before.placements


async def test_release_that_comes_later_is_served_with_what_is_wanted_now(
    keeper: SnapshotKeeper, tmp_path: Path
) -> None:
    await keeper.want(counted(tea=300.0))
    shop.bundle("v2").save(tmp_path / "v2")
    move_pointer(tmp_path, "v2", reason="test", now=shop.NOW)

    await keeper.check()

    assert (served(keeper).bundle.version, wanted(keeper)) == ("v2", ["tea"])


async def test_catalog_that_was_followed_from_older_counts_is_served_with_those_of_now(
    keeper: SnapshotKeeper,
) -> None:
    older = served(keeper)
    await keeper.want(counted(tea=300.0))

    await keeper.publish(replace(older))

    assert wanted(keeper) == ["tea"]


async def held_back(
    keeper: SnapshotKeeper, monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> tuple[threading.Event, asyncio.Task[None]]:
    """Publish a snapshot whose first making takes until the event is set, or ten seconds."""
    gate, wanting, first = threading.Event(), Snapshot.wanting, [snapshot]

    def waiting(own: Snapshot, counted: Trends, before: Snapshot | None = None) -> Snapshot:
        if own is snapshot and first:
            first.clear()
            gate.wait(10.0)
        return wanting(own, counted, before)

    monkeypatch.setattr(Snapshot, "wanting", waiting)
    publishing = asyncio.create_task(keeper.publish(snapshot))
    await asyncio.sleep(0.05)
    return gate, publishing


async def test_what_was_served_is_served_on_while_another_is_made(
    keeper: SnapshotKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, later = served(keeper), Snapshot.of(shop.bundle("v2"), PLACEMENTS)

    gate, publishing = await held_back(keeper, monkeypatch, later)

    assert served(keeper) is before
    gate.set()
    await publishing
    assert served(keeper).bundle.version == "v2"


async def test_older_snapshot_that_took_longer_does_not_replace_a_newer_one(
    keeper: SnapshotKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = (Snapshot.of(shop.bundle(one), PLACEMENTS) for one in ("v2", "v3"))
    gate, publishing = await held_back(keeper, monkeypatch, older)

    await keeper.publish(newer)
    gate.set()
    await publishing

    assert served(keeper).bundle.version == "v3"


async def test_counts_that_come_while_a_snapshot_is_made_are_served_with_it(
    keeper: SnapshotKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Snapshot.of(shop.bundle("v2"), PLACEMENTS)
    gate, publishing = await held_back(keeper, monkeypatch, later)

    await keeper.want(counted(tea=300.0))
    gate.set()
    await publishing

    assert (served(keeper).bundle.version, wanted(keeper)) == ("v2", ["tea"])


async def test_counts_that_come_before_any_release_are_not_lost(tmp_path: Path) -> None:
    made = SnapshotKeeper(ReleaseFolder(tmp_path), PLACEMENTS, lambda: shop.NOW)
    await made.want(counted(tea=300.0))
    shop.bundle("v1").save(tmp_path / "v1")
    move_pointer(tmp_path, "v1", reason="test", now=shop.NOW)

    await made.check()

    assert wanted(made) == ["tea"]


def test_items_that_a_catalog_does_not_know_yet_are_wanted_in_one_that_does() -> None:
    snapshot = Snapshot.of(shop.bundle(), PLACEMENTS)
    beyond = Activity(np.array([3, 1_000]), np.full(2, 9.0), np.full(2, 300.0))

    found = snapshot.wanting(Trends.of(("DE",), beyond, 0.1))

    assert found.trends.popular("DE").rows.tolist() == [3]
    assert found.counted.activity is beyond


def settings(folder: Path) -> ServingSettings:
    return read_settings(data_folder=folder, release_poll_s=0.01)


async def test_worker_serves_each_file_that_is_written(
    keeper: SnapshotKeeper, tmp_path: Path
) -> None:
    running = asyncio.create_task(keep_wanting(settings(tmp_path), keeper))
    for item in ("tea", "milk"):
        now = counted(**{item: 300.0})
        counts = Counts(("DE",), now.activity, now.share, utc_now())

        write_counts(settings(tmp_path).trends_file, counts)

        while wanted(keeper) != [item]:  # noqa: ASYNC110  # a snapshot tells nobody
            await asyncio.sleep(0.01)
    running.cancel()

    assert wanted(keeper) == ["milk"]
