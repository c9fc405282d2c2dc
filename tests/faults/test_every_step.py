"""A scripted life of a log that ends at each of its steps, by death or by a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import script
from tests.faults.checker import FINE, Journal
from tests.faults.disk import Disk
from tests.faults.nursery import Nursery, Work
from tests.faults.place import Place, ids, verdict, verdict_after_retries
from tests.faults.power import Cut, images
from tests.faults.scale import SEED, runs

SENT = frozenset(ids(script.SENT))
AT_A_TIME = 4
RETRIED = runs(4, 1)
"""Of so many ends one is followed by clients that send everything again."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """Give the script's life on a disk, step by step."""
    return lived(tmp_path_factory.mktemp("recorded"))


def lived(folder: Path) -> Disk:
    """Return the script's life in a folder."""
    with Disk(folder) as disk:
        script.run(Place(folder), disk.acknowledge)
    return disk


@pytest.mark.parametrize("cut", Cut)
def test_power_cut_at_any_step_keeps_what_was_acknowledged(
    recorded: Disk, cut: Cut, tmp_path: Path
) -> None:
    every = 1 if cut is Cut.DROPPED else runs(5, 1)

    for image in images(recorded, cut, tmp_path, seed=SEED, every=every):
        place = Place(image.folder)
        assert verdict(place, Journal(SENT, image.acknowledged)) == FINE, image.n_steps
        if cut is not Cut.TORN or image.n_steps % RETRIED == 0:
            assert verdict_after_retries(place, script.SENT) == FINE, image.n_steps


@pytest.mark.parametrize("part", range(2))
def test_death_at_any_step_keeps_what_was_acknowledged(
    recorded: Disk, nursery: Nursery, part: int, tmp_path: Path
) -> None:
    steps = list(range(1 + part, len(recorded.steps) + 1, 2))

    for first in range(0, len(steps), AT_A_TIME):
        dying = steps[first : first + AT_A_TIME]
        for n in dying:
            (tmp_path / f"{n}").mkdir()
        statuses = nursery.run(*(_dying(tmp_path, n) for n in dying))

        assert statuses == [-9] * len(dying)
        for n in dying:
            place = Place(tmp_path / f"{n}")
            assert verdict(place, _journal(tmp_path, n)) == FINE, n
            if n // 2 % RETRIED == 0:
                assert verdict_after_retries(place, script.SENT) == FINE, n


def _dying(folder: Path, n: int) -> Work:
    arguments = (str(folder / f"{n}"), str(folder / f"{n}.journal"), n)
    return Work("tests.faults.children:scripted", arguments)


def _journal(folder: Path, n: int) -> Journal:
    noted = Journal.read([folder / f"{n}.journal"])
    return Journal(SENT, noted.acknowledged)
