"""The lake's tidying, ended by a power cut or a bad disk at each of its steps: every row stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from recsys.errors import Unavailable
from recsys.robots import RobotRule
from serving.lake import commits
from serving.lake.keeping import Keeping
from serving.lake.lake import Lake
from tests.faults.checker import FINE, Journal
from tests.faults.disk import Disk
from tests.faults.operations import (
    SYNC_ERROR,
    SYNCING,
    WRITE_ERROR,
    FailsOnce,
    Fault,
    Kind,
    no_fault,
)
from tests.faults.place import Place, append, events, ids, verdict, verdict_after_retries
from tests.faults.power import Cut, images
from tests.faults.scale import SEED, runs

SENT = events(0, 19)
EVERYTHING = Journal(frozenset(ids(SENT)), frozenset(ids(SENT)))
LATER = datetime.now(UTC) + timedelta(days=1)


def filled(folder: Path) -> Place:
    """Return a place whose lake alone holds all events, in four commits."""
    place = Place(folder)
    writer = place.writer()
    for first in range(0, len(SENT), 5):
        append(writer, SENT[first : first + 5])
        place.drain(trim=True)
    writer.close()
    return place


def tidied(place: Place) -> None:
    """Compact, sweep and count customers, twice: the second time there is much to delete."""
    lake = Lake(place.lake)
    for _ in range(2):
        for _ in lake.tidy(Keeping(versions=timedelta(0)), LATER):
            continue
        lake.write_customers(RobotRule())


@pytest.fixture
def _often_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "CHECKPOINT_EVERY", 2)


def recorded(place: Place, fault: Fault = no_fault) -> Disk:
    """Return a tidying, step by step; what fails is tried once more, as a server does."""
    with Disk(place.path, fault) as disk:
        disk.acknowledge(ids(SENT))
        try:
            tidied(place)
        except Unavailable:
            tidied(place)
    return disk


@pytest.mark.usefixtures("_often_checkpoints")
@pytest.mark.parametrize("cut", Cut)
def test_power_cut_at_any_step_of_tidying_keeps_every_row(cut: Cut, tmp_path: Path) -> None:
    place, into = filled(tmp_path / "place"), tmp_path / "images"
    into.mkdir()
    disk = recorded(place)
    n_deleted = sum(step.operation.kind is Kind.DELETE for step in disk.steps)

    for image in images(disk, cut, into, seed=SEED, every=runs(4, 1)):
        left = Place(image.folder)
        assert verdict(left, EVERYTHING) == FINE, image.n_steps
        assert verdict_after_retries(left, SENT) == FINE, image.n_steps
        tidied(left)
        assert verdict(left, EVERYTHING) == FINE, image.n_steps

    assert n_deleted > 10
    assert len(DeltaTable(place.lake / "events").file_uris()) == 1


@pytest.mark.usefixtures("_often_checkpoints")
@pytest.mark.parametrize("n", [1, 2, 5, 9, 10, 15])
@pytest.mark.parametrize(("code", "kinds"), [(SYNC_ERROR, SYNCING), (WRITE_ERROR, {Kind.DELETE})])
def test_a_disk_that_fails_once_while_tidying_costs_no_row(
    n: int, code: int, kinds: frozenset[Kind], tmp_path: Path
) -> None:
    place, into = filled(tmp_path / "place"), tmp_path / "images"
    into.mkdir()

    disk = recorded(place, FailsOnce(n, code, kinds))

    assert any(step.code for step in disk.steps)
    assert verdict(place, EVERYTHING) == FINE
    for image in images(disk, Cut.TRUNCATED, into, seed=SEED, every=len(disk.steps)):
        left = Place(image.folder)
        assert verdict(left, EVERYTHING) == FINE
        assert verdict_after_retries(left, SENT) == FINE
