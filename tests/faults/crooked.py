"""A server whose workers have a deliberate defect, one for each way to serve an old catalog."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from recsys.assortment import Shelf
from recsys.cli import main as recsys
from serving import app
from serving.follow import CatalogFollower, Step, overlay_of
from serving.log.items import RegisteredItem
from serving.overlay import CatalogOverlay
from serving.snapshot import Snapshot

Defect = Callable[[pytest.MonkeyPatch], None]
PROGRAM = "from tests.faults.crooked import supervise; supervise()"
_DEFECT = "RECSYS_DEFECT"
_ROOT = Path(__file__).parents[2]
_LATE_S = 3.0
_CATCHING_UP_S = 0.5


def environment(defect: str) -> Mapping[str, str]:
    """Return the variables of a server whose workers have this defect."""
    return {_DEFECT: defect, "PYTHONPATH": str(_ROOT)}


def supervise() -> None:
    """Be `recsys serve`, but for the workers that it starts."""
    start = asyncio.create_subprocess_exec

    async def crooked(*words: str, **more: Any) -> Process:
        named = [__name__ if word == app.__name__ else word for word in words]
        return await start(*named, **more)

    pytest.MonkeyPatch().setattr(asyncio, "create_subprocess_exec", crooked)
    sys.exit(recsys(points=[EntryPoint("serving", "serving.cli:app", "recsys.commands")]))


def main() -> None:
    """Be a worker with the defect that the environment names."""
    DEFECTS[os.environ[_DEFECT]](pytest.MonkeyPatch())
    app.main()


def _port_opened_too_early(patch: pytest.MonkeyPatch) -> None:
    """Serve what was loaded, and follow a long catalog then: at the start of a worker."""
    overlaid, step = CatalogFollower.overlaid, CatalogFollower._step

    async def hasty(self: CatalogFollower, loaded: Snapshot) -> Snapshot:
        if self._overlay is not None:
            return await overlaid(self, loaded)
        self._overlay, self._snapshot = overlay_of(loaded.bundle), loaded
        return loaded

    def long(self: CatalogFollower, overlay: CatalogOverlay, before: Snapshot) -> Step:
        if before.bundle is overlay.served:  # nothing was taken yet
            time.sleep(_CATCHING_UP_S)
        return step(self, overlay, before)

    patch.setattr(CatalogFollower, "_step", long)

    patch.setattr(CatalogFollower, "overlaid", hasty)


def _bundle_served_before_its_overlay(patch: pytest.MonkeyPatch) -> None:
    """Serve what was loaded, and follow the catalog then: at a swap of bundles."""
    overlaid = CatalogFollower.overlaid

    async def hasty(self: CatalogFollower, loaded: Snapshot) -> Snapshot:
        if self._overlay is None:
            return await overlaid(self, loaded)
        self._overlay, self._snapshot = overlay_of(loaded.bundle), loaded
        return loaded

    patch.setattr(CatalogFollower, "overlaid", hasty)


def _overlay_lost_at_a_swap(patch: pytest.MonkeyPatch) -> None:
    """Take for granted that a new bundle knows all that the old overlay did."""
    overlaid = CatalogFollower.overlaid

    async def forgetful(self: CatalogFollower, loaded: Snapshot) -> Snapshot:
        if self._overlay is None:
            return await overlaid(self, loaded)
        position, self._overlay = self._overlay.position, overlay_of(loaded.bundle)
        self._overlay.position, self._snapshot = position, loaded
        return loaded

    patch.setattr(CatalogFollower, "overlaid", forgetful)


def _not_followed_after_a_swap(patch: pytest.MonkeyPatch) -> None:
    """Keep to the overlay of the bundle before, whose snapshots nobody wants any more."""
    tried, first = CatalogFollower._tried, list[CatalogOverlay]()

    async def faithful(
        self: CatalogFollower, overlay: CatalogOverlay, before: Snapshot
    ) -> Step | None:
        first.append(overlay)
        return await tried(self, overlay, before) if overlay is first[0] else None

    patch.setattr(CatalogFollower, "_tried", faithful)


def _deleted_items_come_back(patch: pytest.MonkeyPatch) -> None:
    """Pass over what was removed before a bundle was loaded."""
    take, caught_up = CatalogOverlay.take, set[int]()

    def careless(self: CatalogOverlay, items: Sequence[RegisteredItem]) -> None:
        known = [one for one in items if one.item or id(self) in caught_up]
        caught_up.add(id(self))
        take(self, known)
        self.position = items[-1].position

    patch.setattr(CatalogOverlay, "take", careless)


def _newcomers_lost_at_a_swap(patch: pytest.MonkeyPatch) -> None:
    """Pass over what a bundle does not know when it is loaded."""
    take, caught_up = CatalogOverlay.take, set[int]()

    def careless(self: CatalogOverlay, items: Sequence[RegisteredItem]) -> None:
        n_known = len(self.catalog)
        known = [one for one in items if one.row < n_known or id(self) in caught_up]
        caught_up.add(id(self))
        take(self, known)
        self.position = items[-1].position

    patch.setattr(CatalogOverlay, "take", careless)


def _dates_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Keep a shelf until something else changes."""
    patch.setattr(Shelf, "covers", lambda self, now: True)


def _changes_taken_late(patch: pytest.MonkeyPatch) -> None:
    snapshots = CatalogFollower.snapshots

    async def slow(self: CatalogFollower) -> AsyncIterator[Snapshot]:
        async for snapshot in snapshots(self):
            await asyncio.sleep(_LATE_S)
            yield snapshot

    patch.setattr(CatalogFollower, "snapshots", slow)


def _variants_not_told_apart(patch: pytest.MonkeyPatch) -> None:
    """Show a primary whatever its variants are."""
    patch.setattr(Shelf, "shown", lambda self, rows: rows)


DEFECTS: Mapping[str, Defect] = {
    "port opened before the catalog is followed": _port_opened_too_early,
    "bundle served before its overlay": _bundle_served_before_its_overlay,
    "overlay lost at a swap": _overlay_lost_at_a_swap,
    "not followed after a swap": _not_followed_after_a_swap,
    "deleted items come back with a bundle": _deleted_items_come_back,
    "newcomers lost at a swap": _newcomers_lost_at_a_swap,
    "dates not looked at": _dates_not_looked_at,
    "changes taken late": _changes_taken_late,
    "variants not told apart": _variants_not_told_apart,
}
"""By what is wrong."""

if __name__ == "__main__":
    main()
